/** Calls through a forwarder: to the caller it is as if the other server had been asked. */
import { credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AuditService } from '../../../src/adapters/grpc/contract.ts';
import { forwardTo } from '../../../src/adapters/grpc/forwarder.ts';
import { freePort } from '../../../src/cli/stack/freePort.ts';
import type { AuditServiceHandlers } from '../../../src/contract/generated/clickledger/v1/AuditService.ts';
import { serve } from '../../support/grpcServer.ts';

const AWAY = 'the other one is away: ask again';

type GetReconcile = AuditServiceHandlers['GetReconcile'];

async function forwarded(address: string) {
  const forwarder = forwardTo(address, AuditService.service, AWAY);
  onTestFinished(() => forwarder.close());
  const front = await serve((server) => server.addService(forwarder.definition, forwarder.handlers));
  const client = new AuditService(front, credentials.createInsecure());
  onTestFinished(() => client.close());
  return { client, forwarder };
}

async function behind(answer: GetReconcile) {
  return forwarded(
    await serve((server) => server.addService(AuditService.service, { GetReconcile: answer } as never)),
  );
}

const call = (
  client: InstanceType<typeof AuditService>,
  metadata = new Metadata(),
  options: { deadline?: number } = {},
) =>
  new Promise<{ error: ServiceError | null; answer: unknown; headers: Metadata; trailers: Metadata }>(
    (resolve) => {
      let [headers, trailers] = [new Metadata(), new Metadata()];
      let outcome: { error: ServiceError | null; answer: unknown };
      const asked = client.GetReconcile({ id: 7 }, metadata, options, (error, answer) => {
        outcome = { error, answer };
      });
      asked.on('metadata', (received) => {
        headers = received;
      });
      asked.on('status', ({ metadata: received }) => {
        trailers = received;
        resolve({ ...outcome, headers, trailers });
      });
    },
  );

describe('a forwarded call', () => {
  test('brings request, metadata, answer and trailers through', async () => {
    const { client } = await behind((asked, done) => {
      const headers = new Metadata();
      headers.set('x-head', String(asked.metadata.get('x-asked')[0]));
      asked.sendMetadata(headers);
      const trailers = new Metadata();
      trailers.set('x-trail', 'behind');
      done(null, { job: { id: asked.request.id, state: 'DONE' } }, trailers);
    });
    const metadata = new Metadata();
    metadata.set('x-asked', 'this');
    const { error, answer, headers, trailers } = await call(client, metadata);
    expect(error).toBeNull();
    expect(answer).toMatchObject({ job: { id: 7, state: 'DONE' } });
    expect(headers.get('x-head')).toEqual(['this']);
    expect(trailers.get('x-trail')).toEqual(['behind']);
  });

  test('brings code, words and metadata of an error through', async () => {
    const { client } = await behind((_asked, done) => {
      const metadata = new Metadata();
      metadata.set('x-why', 'so');
      done({ code: status.FAILED_PRECONDITION, details: 'reconcile 3 is under way', metadata });
    });
    const { error } = await call(client);
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'reconcile 3 is under way' });
    expect(error?.metadata.get('x-why')).toEqual(['so']);
  });

  test('ends behind when its deadline is over', async () => {
    const ended = Promise.withResolvers<void>();
    const { client } = await behind((asked) => asked.on('cancelled', () => ended.resolve()));
    const { error } = await call(client, new Metadata(), { deadline: Date.now() + 100 });
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    await ended.promise;
  });

  test('ends behind when its caller cancels', async () => {
    const [arrived, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { client } = await behind((asked) => {
      asked.on('cancelled', () => ended.resolve());
      arrived.resolve();
    });
    const asked = client.GetReconcile({ id: 7 }, () => undefined);
    await arrived.promise;
    asked.cancel();
    await ended.promise;
  });

  test('says who is away while nobody is behind, and works when somebody is', async () => {
    const port = await freePort();
    const { client, forwarder } = await forwarded(`127.0.0.1:${port}`);
    const { error } = await call(client);
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: AWAY });
    expect(await forwarder.reaches(50)).toBe(false);
    const server = new Server();
    server.addService(AuditService.service, {
      GetReconcile: (_asked: unknown, done: (error: null, answer: object) => void) => done(null, {}),
    } as never);
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (failed) =>
        failed === null ? resolve() : reject(failed),
      );
    });
    expect(await forwarder.reaches(10_000)).toBe(true);
    expect((await call(client)).error).toBeNull();
    server.forceShutdown();
    await expect.poll(async () => (await call(client)).error?.details).toBe(AWAY);
  });
});
