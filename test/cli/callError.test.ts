/** What people read when a call fails, from a real client against ports where things go wrong. */
import { Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { callErrorKind, explainCallError, isNotFound } from '../../src/adapters/grpc/callError.ts';
import { catalogClient, queryClient } from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import { ScriptedGateway } from './scriptedGateway.ts';

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A query service that answers every call with this error, or never. */
async function queryServiceWith(error: Partial<ServiceError> | undefined): Promise<string> {
  const server = new Server();
  closers.push(() => server.forceShutdown());
  server.addService(ClickQueryService.service, {
    QueryAggregates: (_call: unknown, done: (error: Partial<ServiceError>) => void) => {
      if (error !== undefined) done(error);
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (failure, bound) =>
      failure === null ? resolve(bound) : reject(failure),
    );
  });
  return `127.0.0.1:${port}`;
}

async function errorOf(address: string, deadlineMs?: number): Promise<unknown> {
  const client = queryClient(address, deadlineMs);
  closers.push(() => client.close());
  return client.queryAggregates({ ad_ids: ['a'] }).catch((error: unknown) => error);
}

describe('a call that fails', () => {
  it('for want of a server names the address and what to do', async () => {
    const gateway = await ScriptedGateway.start();
    const { address } = gateway;
    gateway.stop();
    const error = await errorOf(address);
    expect(callErrorKind(error)).toBe('broken');
    expect(explainCallError(error, 'the gateway', address)).toMatch(
      /^cannot reach the gateway at 127\.0\.0\.1:\d+: .*(ECONNREFUSED|no connection).*; is `\.\/clickledger up` running\?$/,
    );
  });

  it('for a wrong argument says what the server said, and keeps code and details', async () => {
    const address = await queryServiceWith({
      code: status.INVALID_ARGUMENT,
      details: 'from_ms 7 is no minute',
    });
    const error = await errorOf(address);
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'from_ms 7 is no minute' });
    expect(callErrorKind(error)).toBe('final');
    expect(explainCallError(error, 'the query service', address)).toBe('from_ms 7 is no minute');
  });

  it('for a reason of its own names code and server', async () => {
    const address = await queryServiceWith({
      code: status.UNAVAILABLE,
      details: 'clicks could not be confirmed',
    });
    const error = await errorOf(address);
    expect(callErrorKind(error)).toBe('broken');
    expect(explainCallError(error, 'the gateway', address)).toBe(
      `the gateway at ${address} answered UNAVAILABLE: clicks could not be confirmed`,
    );
  });

  it('to answer in time says so', async () => {
    const address = await queryServiceWith(undefined);
    const error = await errorOf(address, 50);
    expect(explainCallError(error, 'the query service', address)).toContain(
      `${address} did not answer in time`,
    );
  });

  it('because there is no such ad can be told from the rest', async () => {
    const gateway = await ScriptedGateway.start();
    const catalog = catalogClient(gateway.address);
    closers.push(
      () => gateway.stop(),
      () => catalog.close(),
    );
    const error = await catalog.getAd({ ad_id: 'none' }).catch((thrown: unknown) => thrown);
    expect(isNotFound(error)).toBe(true);
    expect(isNotFound(new Error('none'))).toBe(false);
  });
});
