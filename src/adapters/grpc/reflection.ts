/**
 * Server reflection that clients in other languages accept. protobufjs describes the entries of a map field `name` as
 * a type `Name`; protobuf demands `NameEntry` and refuses the whole file otherwise. So the descriptors are mended here.
 */
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import descriptor from 'protobufjs/ext/descriptor/index.js';

interface MessageDescriptor {
  name: string;
  field: { name: string; typeName?: string }[];
  nestedType: MessageDescriptor[];
  options?: { mapEntry?: boolean };
}

/** @param services full names of what reflection lists */
export function reflectionOf(definition: PackageDefinition, services: readonly string[]): ReflectionService {
  const mended = Object.entries(definition).map(([name, entry]) => {
    const files = entry.fileDescriptorProtos;
    return Array.isArray(files) ? [name, { ...entry, fileDescriptorProtos: files.map(mend) }] : [name, entry];
  });
  return new ReflectionService(Object.fromEntries(mended), { services: [...services] });
}

function mend(bytes: Buffer): Buffer {
  const file = descriptor.FileDescriptorProto.decode(bytes);
  mendMaps((file as unknown as { messageType: MessageDescriptor[] }).messageType);
  return Buffer.from(descriptor.FileDescriptorProto.encode(file).finish());
}

function mendMaps(messages: MessageDescriptor[]): void {
  for (const { field, nestedType } of messages) {
    for (const entry of nestedType.filter(({ options }) => options?.mapEntry)) {
      const { name } = entry;
      for (const one of field) if (one.typeName === name) one.typeName = entryName(one.name);
      entry.name = entryName(name);
    }
    mendMaps(nestedType);
  }
}

/** `some_name` gives `SomeNameEntry`. */
function entryName(field: string): string {
  return `${field.replace(/(?:^|_)([a-z])/g, (_whole, letter: string) => letter.toUpperCase())}Entry`;
}
