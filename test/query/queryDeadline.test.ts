/** A caller whose deadline is over, or who has gone, ends the work for it; nobody is alarmed. */
import { credentials, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { Answers } from '../../src/query/answers.ts';
import { queryService } from '../../src/query/queryService.ts';
import { serve } from '../support/grpcServer.ts';
import { SilentLog } from '../support/silentLog.ts';

/** Work that ends only when it is told to. */
async function setUp() {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const untilEnd = (signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) => {
      begun.resolve();
      signal.addEventListener('abort', () => {
        ended.resolve();
        reject(signal.reason);
      });
    });
  const unasked = () => {
    throw new Error('nobody asks this here');
  };
  const answers: Answers = {
    queryAggregates: (_request, signal) => untilEnd(signal),
    topN: unasked,
    compareAggregates: unasked,
    queryUniques: unasked,
    streamAggregates: async function* (_request, signal) {
      yield {};
      await untilEnd(signal);
    },
    exportAggregates: unasked,
  };
  const log = new SilentLog();
  const address = await serve((server) =>
    server.addService(ClickQueryService.service, queryService({ answers, log })),
  );
  const client = new ClickQueryService(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return { client, log, begun: begun.promise, ended: ended.promise };
}

describe('the work of a call', () => {
  test('ends with its deadline', async () => {
    const { client, log, ended } = await setUp();
    const failed = new Promise((done) => {
      client.queryAggregates({}, { deadline: Date.now() + 300 }, (error) => done(error));
    });
    expect(await failed).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await ended;
    expect(log.lines).toEqual([]);
  });

  test('ends when the caller cancels it', async () => {
    const { client, log, begun, ended } = await setUp();
    const failed = Promise.withResolvers<unknown>();
    const call = client.queryAggregates({}, (error) => failed.resolve(error));
    await begun;
    call.cancel();
    expect(await failed.promise).toMatchObject({ code: status.CANCELLED });
    await ended;
    expect(log.lines).toEqual([]);
  });

  test('ends when the caller goes away in the middle of a stream', async () => {
    const { client, log, begun, ended } = await setUp();
    const stream = client.streamAggregates({});
    stream.on('error', () => undefined);
    stream.on('data', () => undefined);
    await begun;
    stream.cancel();
    await ended;
    expect(log.lines).toEqual([]);
  });
});
