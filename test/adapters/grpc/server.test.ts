/** What every gRPC server of clickledger does beside its calls: health, reflection, an orderly end. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import {
  type Client,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  type Server,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import descriptor from 'protobufjs/ext/descriptor/index.js';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  auditPackage,
  ClickQueryService,
  ingestPackage,
  queryPackage,
} from '../../../src/adapters/grpc/contract.ts';
import { type GrpcServer, type ListenAddress, startGrpcServer } from '../../../src/adapters/grpc/server.ts';
import { freePort } from '../../../src/cli/stack/freePort.ts';
import type { ClickQueryServiceClient } from '../../../src/contract/generated/clickledger/v1/ClickQueryService.ts';

const MODULES = resolve(import.meta.dirname, '../../../node_modules');
const SERVICE = 'clickledger.v1.ClickQueryService';
const AUDIT = 'clickledger.v1.AuditService';
const QUERIES = [
  'QueryAggregates',
  'TopN',
  'CompareAggregates',
  'QueryUniques',
  'StreamAggregates',
  'ExportAggregates',
];
const AUDITS = [
  'GetWindowProof',
  'VerifyWindow',
  'ListRestatements',
  'ListClicks',
  'GetClick',
  'StartReconcile',
  'GetReconcile',
  'CancelReconcile',
];
const STOP_MS = 20_000;

interface HealthClient extends Client {
  check(
    request: { service: string },
    done: (error: ServiceError | null, answer?: { status: string }) => void,
  ): void;
  watch(request: { service: string }): ClientReadableStream<{ status: string }>;
}

interface ReflectionAnswer {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
  readonly error_response?: { readonly error_code: number };
}

function loadClients(file: string): Record<string, new (...values: unknown[]) => Client> {
  const options = { keepCase: true, enums: String, defaults: false, oneofs: true };
  const definition = loadPackageDefinition(loadSync(resolve(MODULES, file), options));
  return definition as unknown as Record<string, new (...values: unknown[]) => Client>;
}

/** The client class at a dotted name. */
function clientOf(file: string, name: string, address: string): Client {
  let found: unknown = loadClients(file);
  for (const part of name.split('.')) found = (found as Record<string, unknown>)[part];
  const Constructor = found as new (...values: unknown[]) => Client;
  const client = new Constructor(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

/** Answers when it is let go. */
let release: () => void;
let called: Promise<void>;
let register: (server: Server) => void;

beforeEach(() => {
  const gate = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  release = gate.resolve;
  called = arrived.promise;
  register = (server) =>
    server.addService(ClickQueryService.service, {
      queryAggregates: (_call: unknown, done: (error: null, answer: object) => void) => {
        arrived.resolve();
        void gate.promise.then(() => done(null, { partial: true }));
      },
    });
});

const freeAddress = async (): Promise<ListenAddress> => ({ host: '127.0.0.1', port: await freePort() });

async function start(
  listen?: ListenAddress,
): Promise<{ server: GrpcServer; listen: ListenAddress; address: string }> {
  listen ??= await freeAddress();
  const address = `${listen.host}:${listen.port}`;
  const server = await startGrpcServer(listen, queryPackage, [SERVICE], register);
  onTestFinished(() => {
    release();
    return server.stop(STOP_MS);
  });
  return { server, listen, address };
}

const healthAt = (address: string) =>
  clientOf(
    'grpc-health-check/proto/health/v1/health.proto',
    'grpc.health.v1.Health',
    address,
  ) as HealthClient;

function check(client: HealthClient, service: string): Promise<string> {
  return new Promise((done, fail) => {
    client.check({ service }, (error, answer) => (error === null ? done(answer?.status ?? '') : fail(error)));
  });
}

function queryAt(address: string): ClickQueryServiceClient {
  const client = new ClickQueryService(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

const query = (client: ClickQueryServiceClient) =>
  new Promise((done, fail) => {
    client.queryAggregates({}, (error, answer) => (error === null ? done(answer) : fail(error)));
  });

describe('health', () => {
  test('is SERVING for the whole server and each service, and not found for others', async () => {
    const { address } = await start();
    const client = healthAt(address);
    expect(await check(client, '')).toBe('SERVING');
    expect(await check(client, SERVICE)).toBe('SERVING');
    await expect(check(client, 'clickledger.v1.Unknown')).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(check(client, 'clickledger.v1.ClickIngestService')).rejects.toMatchObject({
      code: status.NOT_FOUND,
    });
  });

  test('follows what the process says of itself', async () => {
    const { server, address } = await start();
    const client = healthAt(address);
    server.setServing(false);
    expect([await check(client, ''), await check(client, SERVICE)]).toEqual(['NOT_SERVING', 'NOT_SERVING']);
    server.setServing(true);
    expect([await check(client, ''), await check(client, SERVICE)]).toEqual(['SERVING', 'SERVING']);
  });

  test('is NOT_SERVING for whoever watches from the moment on that the server stops', async () => {
    const { server, address } = await start();
    const watched = healthAt(address).watch({ service: SERVICE });
    const seen: string[] = [];
    watched.on('data', (answer: { status: string }) => seen.push(answer.status));
    watched.on('error', () => undefined);
    await expect.poll(() => seen).toEqual(['SERVING']);
    const call = query(queryAt(address));
    await called;
    const stopped = server.stop(STOP_MS);
    await expect.poll(() => seen).toEqual(['SERVING', 'NOT_SERVING']);
    release();
    await call;
    watched.cancel();
    await stopped;
  });
});

describe('stopping', () => {
  test('waits for calls under way, answers them, and takes no new ones', async () => {
    const { server, address } = await start();
    const call = query(queryAt(address));
    await called;
    let stopped = false;
    const stopping = server.stop(STOP_MS).then(() => {
      stopped = true;
    });
    await expect(query(queryAt(address))).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(stopped).toBe(false);
    release();
    expect(await call).toMatchObject({ rows: [] });
    await stopping;
  });

  test('ends calls that do not end by themselves when its time is over', async () => {
    const { server, address } = await start();
    const call = query(queryAt(address));
    await called;
    const failed = expect(call).rejects.toMatchObject({ name: 'Error' });
    await server.stop(200);
    await failed;
  });

  test('does not wait beyond its time for connections that say nothing or nonsense, and never end', async () => {
    const { server, listen, address } = await start();
    for (const said of ['', 'GET / HTTP/1.1\r\n']) {
      // Nobody reads what comes back, so its end is never noticed.
      const socket = connect({ ...listen, allowHalfOpen: true });
      onTestFinished(() => void socket.destroy());
      await once(socket, 'connect');
      socket.write(said);
    }
    // Whoever came later was answered, so both are with the server.
    release();
    await query(queryAt(address));
    await server.stop(200);
  });

  test('frees the port for the next one', async () => {
    const { server, listen, address } = await start();
    await server.stop(STOP_MS);
    const next = await startGrpcServer(listen, queryPackage, [SERVICE], register);
    expect(await check(healthAt(address), '')).toBe('SERVING');
    await next.stop(STOP_MS);
  });
});

test('a port that is taken is an error that names it', async () => {
  const { listen, address } = await start();
  await expect(startGrpcServer(listen, queryPackage, [SERVICE], register)).rejects.toThrow(
    new RegExp(`EADDRINUSE.*${address}|${address}.*in use`, 's'),
  );
});

describe('a shared port', () => {
  /** A call on a connection of its own. */
  const queryAnew = (address: string) => {
    const client = new ClickQueryService(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    return query(client).finally(() => client.close());
  };

  test('has its connections spread over all that listen, and those that stay take over when one stops', async () => {
    const listen = { ...(await freeAddress()), isShared: true };
    const answers = [0, 0];
    const servers: GrpcServer[] = [];
    for (const index of [0, 1]) {
      register = (server) =>
        server.addService(ClickQueryService.service, {
          queryAggregates: (_call: unknown, done: (error: null, answer: object) => void) => {
            answers[index] = (answers[index] ?? 0) + 1;
            done(null, {});
          },
        });
      servers.push((await start(listen)).server);
    }
    const address = `${listen.host}:${listen.port}`;
    // That all of 64 come to the same one happens once in 2^63.
    for (let call = 0; call < 64; call++) await queryAnew(address);
    const [first = 0, second = 0] = answers;
    expect(first + second).toBe(64);
    expect(Math.min(first, second)).toBeGreaterThan(0);
    await servers[0]?.stop(STOP_MS);
    for (let call = 0; call < 16; call++) await queryAnew(address);
    expect(answers).toEqual([first, second + 16]);
  });

  test('is refused to one that does not share, and one that does not share keeps its port', async () => {
    const shared = { ...(await freeAddress()), isShared: true };
    await start(shared);
    await expect(start({ ...shared, isShared: false })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const own = await freeAddress();
    await start(own);
    await expect(start({ ...own, isShared: true })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

test('a request larger than allowed is refused, and the server serves on', async () => {
  const { address } = await start();
  const client = queryAt(address);
  const adIds = Array.from({ length: 50 }, () => 'x'.repeat(100_000));
  const big = new Promise((done, fail) => {
    client.queryAggregates({ ad_ids: adIds }, (error, answer) =>
      error === null ? done(answer) : fail(error),
    );
  });
  await expect(big).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  release();
  expect(await query(client)).toMatchObject({ rows: [] });
});

describe('reflection', () => {
  async function ask(address: string, request: object): Promise<ReflectionAnswer> {
    const file = '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto';
    const client = clientOf(file, 'grpc.reflection.v1.ServerReflection', address) as unknown as {
      serverReflectionInfo(): import('@grpc/grpc-js').ClientDuplexStream<object, ReflectionAnswer>;
    };
    const stream = client.serverReflectionInfo();
    const answer = Promise.withResolvers<ReflectionAnswer>();
    stream.on('data', answer.resolve);
    stream.on('error', answer.reject);
    stream.write(request);
    const result = await answer.promise;
    stream.end();
    return result;
  }

  type File = ReturnType<typeof descriptor.FileDescriptorProto.decode> & {
    name: string;
    package: string;
    dependency: string[];
    messageType: {
      name: string;
      field: { name: string; typeName?: string }[];
      nestedType: { name: string; options?: { mapEntry?: boolean } }[];
    }[];
    enumType: { name: string }[];
    service: { name: string; method: { name: string; inputType: string; outputType: string }[] }[];
  };

  /** The file with this symbol and everything that it depends on, as a foreign client collects them. */
  async function filesFor(address: string, symbol: string): Promise<Map<string, File>> {
    const files = new Map<string, File>();
    const take = ({ file_descriptor_response: response, error_response: error }: ReflectionAnswer) => {
      expect(error).toBeUndefined();
      for (const bytes of response?.file_descriptor_proto ?? []) {
        const file = descriptor.FileDescriptorProto.decode(bytes) as File;
        files.set(file.name, file);
      }
    };
    take(await ask(address, { file_containing_symbol: symbol }));
    for (let round = 0; round < 5; round++) {
      const missing = [...files.values()]
        .flatMap(({ dependency }) => dependency)
        .filter((name) => !files.has(name));
      for (const name of new Set(missing)) take(await ask(address, { file_by_filename: name }));
    }
    return files;
  }

  /** In which file each type is defined, by its full name with a dot in front. */
  function ownersOf(files: Iterable<File>): Map<string, string> {
    const owners = new Map<string, string>();
    for (const { name: file, package: scope, messageType, enumType } of files) {
      for (const { name, nestedType } of messageType) {
        owners.set(`.${scope}.${name}`, file);
        for (const nested of nestedType) owners.set(`.${scope}.${name}.${nested.name}`, file);
      }
      for (const { name } of enumType) owners.set(`.${scope}.${name}`, file);
    }
    return owners;
  }

  /** The names of types that a file uses, each with where it stands. */
  function usedIn(file: File): [scope: string, name: string][] {
    const inMessages = file.messageType.flatMap((message) =>
      message.field.map(({ typeName }): [string, string] => [
        `${file.package}.${message.name}`,
        typeName ?? '',
      ]),
    );
    const inMethods = file.service
      .flatMap(({ method }) => method.flatMap(({ inputType, outputType }) => [inputType, outputType]))
      .map((name): [string, string] => [file.package, name]);
    return [...inMessages, ...inMethods].filter(([, name]) => name !== '');
  }

  test.each([
    ['the query service', queryPackage, [SERVICE, AUDIT], [...QUERIES, ...AUDITS]],
    ['the reconciler', auditPackage, [AUDIT], AUDITS],
    [
      'the gateway',
      ingestPackage,
      ['clickledger.v1.ClickIngestService', 'clickledger.v1.AdCatalogService'],
      ['IngestClick', 'BatchIngestClicks', 'StreamIngestClicks', 'UpsertAds', 'GetAd', 'ListAds'],
    ],
  ])(
    'of %s lists its services, and every type of them resolves to a file that is served',
    async (_what, definition, services, methods) => {
      const listen = await freeAddress();
      const address = `${listen.host}:${listen.port}`;
      const server = await startGrpcServer(listen, definition, services, () => undefined);
      onTestFinished(() => server.stop(STOP_MS));
      const { list_services_response: listed } = await ask(address, { list_services: '' });
      expect(listed?.service.map(({ name }) => name)).toEqual(expect.arrayContaining(services));
      const found: string[] = [];
      for (const service of services) {
        const files = await filesFor(address, service);
        const owners = ownersOf(files.values());
        for (const file of files.values()) {
          for (const [scope, name] of usedIn(file)) {
            // From the inside out, as protobuf resolves a name that does not begin with a dot.
            const candidates = [`.${scope}.${name}`, `.${file.package}.${name}`, name];
            const owner = candidates
              .map((candidate) => owners.get(candidate))
              .find((one) => one !== undefined);
            expect(owner, `${name}, used in ${file.name}`).toBeDefined();
            // A descriptor that does not name what it depends on is refused by other languages' clients.
            if (owner !== file.name) expect(file.dependency, `${file.name} uses ${name}`).toContain(owner);
          }
          for (const one of file.service) {
            if (`${file.package}.${one.name}` === service) found.push(...one.method.map(({ name }) => name));
          }
        }
      }
      expect(found.sort()).toEqual([...methods].sort());
    },
  );

  test('of maps names their entries as protobuf demands, or other languages refuse the whole file', async () => {
    const listen = await freeAddress();
    const address = `${listen.host}:${listen.port}`;
    const services = ['clickledger.v1.ClickIngestService'];
    const server = await startGrpcServer(listen, ingestPackage, services, () => undefined);
    onTestFinished(() => server.stop(STOP_MS));
    const files = await filesFor(address, 'clickledger.v1.ClickIngestService');
    const maps = [...files.values()].flatMap(({ messageType }) =>
      messageType.flatMap(({ name, field, nestedType }) =>
        nestedType
          .filter(({ options }) => options?.mapEntry)
          .map((entry) => [name, field.find(({ typeName }) => typeName === entry.name)?.name, entry.name]),
      ),
    );
    expect(maps).toEqual(
      expect.arrayContaining([
        ['Click', 'attributes', 'AttributesEntry'],
        ['ClickRecord', 'attributes', 'AttributesEntry'],
      ]),
    );
    for (const [, , entry] of maps) expect(entry).toMatch(/Entry$/);
  });

  test('of a symbol that is not there is not found', async () => {
    const { address } = await start();
    const answer = await ask(address, { file_containing_symbol: 'clickledger.v1.Unknown' });
    expect(answer.error_response?.error_code).toBe(status.NOT_FOUND);
  });
});
