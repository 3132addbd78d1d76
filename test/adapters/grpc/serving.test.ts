/** How gRPC answers travel: compressed where the caller takes it, bounded, and to nobody who is gone. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { credentials, type Server, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ClickQueryService, queryPackage } from '../../../src/adapters/grpc/contract.ts';
import { type ServerOptions, startGrpcServer } from '../../../src/adapters/grpc/server.ts';
import { freePort } from '../../../src/cli/stack/freePort.ts';
import type { ClickQueryServiceClient } from '../../../src/contract/generated/clickledger/v1/ClickQueryService.ts';
import type { QueryAggregatesResponse } from '../../../src/contract/generated/clickledger/v1/QueryAggregatesResponse.ts';

const SERVICE = 'clickledger.v1.ClickQueryService';
const PREFIX_BYTES = 5;
const ROWS = 2_000;
const MANY: QueryAggregatesResponse = {
  rows: Array.from({ length: ROWS }, (_, row) => ({
    ad_id: 'an advertisement',
    from_ms: 1_700_000_000_000 + row * 60_000,
    metrics: { clicks: row, gross_clicks: row },
  })),
};

type Handler = (call: { on(event: 'cancelled', heard: () => void): unknown }) => Promise<object>;

/** A server whose every QueryAggregates is answered by `work`. @returns its port */
async function start(work: Handler, options: ServerOptions): Promise<number> {
  const port = await freePort();
  const register = (server: Server) =>
    server.addService(ClickQueryService.service, {
      queryAggregates: (call: Parameters<Handler>[0], done: (error: null, answer: object) => void) => {
        void work(call).then((answer) => done(null, answer));
      },
    });
  const server = await startGrpcServer(
    { host: '127.0.0.1', port },
    queryPackage,
    [SERVICE],
    register,
    options,
  );
  onTestFinished(() => server.stop(200));
  return port;
}

function clientAt(port: number): ClickQueryServiceClient {
  const options = { 'grpc.max_receive_message_length': 2 ** 30 };
  const client = new ClickQueryService(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  onTestFinished(() => client.close());
  return client;
}

const query = (client: ClickQueryServiceClient) =>
  new Promise<QueryAggregatesResponse | undefined>((done, fail) => {
    client.queryAggregates({}, (error, answer) => (error === null ? done(answer) : fail(error)));
  });

/** What comes back over HTTP/2 to an empty request. */
async function bytesOf(port: number, headers: Readonly<Record<string, string>>) {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.close());
  const stream = session.request({
    ':method': 'POST',
    ':path': `/${SERVICE}/QueryAggregates`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.end(Buffer.alloc(PREFIX_BYTES));
  let encoding: unknown;
  stream.once('response', (answered) => {
    encoding = answered['grpc-encoding'];
  });
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  await once(stream, 'end');
  const body = Buffer.concat(parts);
  expect(body.readUInt32BE(1)).toBe(body.length - PREFIX_BYTES);
  return { encoding, isCompressed: body[0] === 1, message: body.subarray(PREFIX_BYTES) };
}

describe('an answer', () => {
  test('is compressed for who takes gzip, and is the same for who does not', async () => {
    const port = await start(() => Promise.resolve(MANY), { gzip: true });
    const plain = await bytesOf(port, {});
    const other = await bytesOf(port, { 'grpc-accept-encoding': 'identity, deflate' });
    const packed = await bytesOf(port, { 'grpc-accept-encoding': 'identity, deflate, gzip' });
    expect(plain).toMatchObject({ encoding: 'identity', isCompressed: false });
    expect(other).toEqual(plain);
    expect(packed).toMatchObject({ encoding: 'gzip', isCompressed: true });
    expect(packed.message.length).toBeLessThan(plain.message.length / 2);
    expect(gunzipSync(packed.message)).toEqual(plain.message);
    expect((await query(clientAt(port)))?.rows).toHaveLength(ROWS);
  });

  test('that is short is not, nor is any where the server was not asked to', async () => {
    const accepting = { 'grpc-accept-encoding': 'gzip' };
    const short = await start(() => Promise.resolve({}), { gzip: true });
    expect(await bytesOf(short, accepting)).toMatchObject({ encoding: 'gzip', isCompressed: false });
    const without = await start(() => Promise.resolve(MANY), {});
    expect(await bytesOf(without, accepting)).toMatchObject({ encoding: 'identity', isCompressed: false });
  });

  test('that is larger than allowed is an error that names both sizes, and the server serves on', async () => {
    const answers: object[] = [{ next_page_token: 'x'.repeat(64 * 2 ** 20) }, MANY];
    const port = await start(() => Promise.resolve(answers.shift() ?? {}), { gzip: true });
    const client = clientAt(port);
    await expect(query(client)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/larger than max \(67108\d+ vs\. 67108864\)/),
    });
    expect((await query(client))?.rows).toHaveLength(ROWS);
  });
});

test('the work for a caller who is there no more ends, though no connection was closed', async () => {
  const cancelled = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const work: Handler = (call) => {
    call.on('cancelled', cancelled.resolve);
    begun.resolve();
    return new Promise(() => undefined);
  };
  const port = await start(work, { keepaliveMs: 100, keepaliveAnswerMs: 200 });
  // A network that swallows everything from some moment on.
  const ends: Socket[] = [];
  const network = createServer((client) => {
    const server = connect(port, '127.0.0.1');
    ends.push(client, server);
    client.pipe(server);
    server.pipe(client);
    for (const socket of [client, server]) socket.on('error', () => undefined);
  });
  network.listen(0, '127.0.0.1');
  await once(network, 'listening');
  onTestFinished(() => {
    for (const socket of ends) socket.destroy();
    network.close();
  });
  const address = network.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const call = query(clientAt(address.port));
  call.catch(() => undefined);
  await begun.promise;
  for (const socket of ends) {
    socket.unpipe();
    socket.pause();
  }
  await cancelled.promise;
});
