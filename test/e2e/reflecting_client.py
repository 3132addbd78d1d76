"""A client that knows nothing of clickledger, not even its .proto files: it asks the server what it serves.

Usage: reflecting_client.py ADDRESS, with a list of calls as JSON on standard input: [[service, method, request], ...].
Prints as one line of JSON what is served (methods by service) and what each call was answered: the answer as a
dictionary, or [code, details]. Everything it knows of messages comes over the standard reflection service
(grpc.reflection.v1), whose own few messages are written out below.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
DEADLINE_S = 20
FIELD = descriptor_pb2.FieldDescriptorProto


def reflection_messages():
    """The messages of grpc.reflection.v1 that are needed, by name."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="grpc.reflection.v1", syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = made.field.add(name=field, number=number)
            added.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type = FIELD.TYPE_MESSAGE
                added.type_name = f".grpc.reflection.v1.{kind}"
            else:
                added.type = kind

    message(
        "ServerReflectionRequest",
        ("file_by_filename", 3, FIELD.TYPE_STRING, False),
        ("file_containing_symbol", 4, FIELD.TYPE_STRING, False),
        ("list_services", 7, FIELD.TYPE_STRING, False),
    )
    message("FileDescriptorResponse", ("file_descriptor_proto", 1, FIELD.TYPE_BYTES, True))
    message("ServiceResponse", ("name", 1, FIELD.TYPE_STRING, False))
    message("ListServiceResponse", ("service", 1, "ServiceResponse", True))
    message("ErrorResponse", ("error_code", 1, FIELD.TYPE_INT32, False), ("error_message", 2, FIELD.TYPE_STRING, False))
    message(
        "ServerReflectionResponse",
        ("file_descriptor_response", 4, "FileDescriptorResponse", False),
        ("list_services_response", 6, "ListServiceResponse", False),
        ("error_response", 7, "ErrorResponse", False),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {
        name: factory.GetPrototype(pool.FindMessageTypeByName(f"grpc.reflection.v1.{name}"))
        for name in ("ServerReflectionRequest", "ServerReflectionResponse")
    }


class Server:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        messages = reflection_messages()
        self.request = messages["ServerReflectionRequest"]
        self.reflect = self.channel.stream_stream(
            REFLECTION,
            request_serializer=self.request.SerializeToString,
            response_deserializer=messages["ServerReflectionResponse"].FromString,
        )
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        self.known = set()

    def ask(self, **what):
        answer = next(self.reflect(iter([self.request(**what)]), timeout=DEADLINE_S))
        if answer.HasField("error_response"):
            raise RuntimeError(f"{what}: {answer.error_response.error_message}")
        return answer

    def services(self):
        listed = self.ask(list_services="*").list_services_response.service
        return sorted(service.name for service in listed)

    def learn(self, **what):
        """Takes the file and, before it, all files that it imports: protobuf refuses it otherwise."""
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(given)
            for given in self.ask(**what).file_descriptor_response.file_descriptor_proto
        ]
        given = {file.name: file for file in files}

        def add(file):
            if file.name in self.known:
                return
            self.known.add(file.name)
            for name in file.dependency:
                if name in given:
                    add(given[name])
                elif name not in self.known:
                    self.learn(file_by_filename=name)
            self.pool.Add(file)

        for file in files:
            add(file)

    def service(self, name):
        try:
            return self.pool.FindServiceByName(name)
        except KeyError:
            self.learn(file_containing_symbol=name)
            return self.pool.FindServiceByName(name)

    def call(self, service, method, request):
        found = self.service(service).FindMethodByName(method)
        taken = self.factory.GetPrototype(found.input_type)
        given = self.factory.GetPrototype(found.output_type)
        calling = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=taken.SerializeToString,
            response_deserializer=given.FromString,
        )
        try:
            answer = calling(json_format.ParseDict(request, taken()), timeout=DEADLINE_S)
        except grpc.RpcError as error:
            return [error.code().name, error.details()]
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)


server = Server(sys.argv[1])
served = {name: [method.name for method in server.service(name).methods] for name in server.services()}
answered = [server.call(*call) for call in json.load(sys.stdin)]
print(json.dumps({"served": served, "answered": answered}))
