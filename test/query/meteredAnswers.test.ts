/** The bound of questions in hand, and what is counted of them. */

import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { QueryMetrics } from '../../src/adapters/prometheus/queryMetrics.ts';
import { callError } from '../../src/contract/callErrors.ts';
import type { Answers } from '../../src/query/answers.ts';
import { meteredAnswers } from '../../src/query/meteredAnswers.ts';
import { UNASKED } from '../support/unasked.ts';

const ANY = {} as never;
const STAYS = new AbortController().signal;

function setUp(answers: Partial<Answers>, questionsMax?: number) {
  let nowMs = 0;
  const metrics = new QueryMetrics(
    () => nowMs,
    () => 0,
  );
  const metered = meteredAnswers({ ...UNASKED, ...answers }, metrics, questionsMax);
  const values = async () => {
    const lines = (await metrics.registry.metrics()).split('\n').filter((line) => /^clickledger/.test(line));
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
    );
  };
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { metered, values, pass };
}

const calls = (method: string, code: string) =>
  `clickledger_query_calls_total{method="${method}",code="${code}"}`;
const open = (method: string) => `clickledger_query_calls_open{method="${method}"}`;

describe('a question', () => {
  test('is counted by method and code, with its time and its rows', async () => {
    const { metered, values, pass } = setUp({
      queryAggregates: async () => {
        pass(1_500);
        return { rows: [{}, {}, {}] };
      },
      topN: () => Promise.reject(callError(status.INVALID_ARGUMENT, 'n -1 is wrong')),
      queryUniques: () => Promise.reject(new Error('PostgreSQL is away')),
    });
    await metered.queryAggregates(ANY, STAYS);
    await expect(metered.topN(ANY, STAYS)).rejects.toThrow('n -1 is wrong');
    await expect(metered.queryUniques(ANY, STAYS)).rejects.toThrow('away');
    const found = await values();
    expect(found).toMatchObject({
      [calls('QueryAggregates', 'OK')]: 1,
      [calls('TopN', 'INVALID_ARGUMENT')]: 1,
      [calls('QueryUniques', 'UNAVAILABLE')]: 1,
      [open('QueryAggregates')]: 0,
      'clickledger_query_rows_total{method="QueryAggregates"}': 3,
      'clickledger_query_duration_seconds_sum{method="QueryAggregates"}': 1.5,
    });
    // How long it takes to fail says nothing of how fast it is.
    expect(found['clickledger_query_duration_seconds_sum{method="TopN"}']).toBeUndefined();
  });

  test('whose caller has gone is counted as such', async () => {
    const { metered, values } = setUp({
      queryAggregates: async (_request, signal) => {
        signal.throwIfAborted();
        return {};
      },
    });
    await expect(metered.queryAggregates(ANY, AbortSignal.abort())).rejects.toThrow();
    expect((await values())[calls('QueryAggregates', 'CANCELLED')]).toBe(1);
  });

  test('beyond those that may be in hand is refused with the number, and the next after one has ended is not', async () => {
    const gate = Promise.withResolvers<object>();
    const { metered, values } = setUp({ queryAggregates: () => gate.promise, topN: async () => ({}) }, 2);
    const first = [metered.queryAggregates(ANY, STAYS), metered.queryAggregates(ANY, STAYS)];
    await expect(metered.topN(ANY, STAYS)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: 'the query service has 2 questions in hand, as many as it may have: ask again',
    });
    expect((await values())[open('QueryAggregates')]).toBe(2);
    gate.resolve({});
    await Promise.all(first);
    await metered.topN(ANY, STAYS);
    expect(await values()).toMatchObject({
      [calls('TopN', 'RESOURCE_EXHAUSTED')]: 1,
      [calls('TopN', 'OK')]: 1,
      [open('QueryAggregates')]: 0,
      [open('TopN')]: 0,
    });
  });

  test('that failed makes room as well', async () => {
    const { metered } = setUp({ topN: () => Promise.reject(new Error('failed')) }, 1);
    await expect(metered.topN(ANY, STAYS)).rejects.toThrow('failed');
    await expect(metered.topN(ANY, STAYS)).rejects.toThrow('failed');
  });
});

describe('a stream', () => {
  const parts = async function* (_request: unknown, signal: AbortSignal) {
    yield { rows: [{}, {}] };
    yield { rows: [{}] };
    signal.throwIfAborted();
  };

  test('is open until it has ended', async () => {
    const { metered, values } = setUp({ streamAggregates: parts });
    for await (const _part of metered.streamAggregates(ANY, STAYS))
      expect((await values())[open('StreamAggregates')]).toBe(1);
    expect(await values()).toMatchObject({
      [open('StreamAggregates')]: 0,
      [calls('StreamAggregates', 'OK')]: 1,
      'clickledger_query_rows_total{method="StreamAggregates"}': 3,
    });
  });

  test('that nobody reads any more, or whose caller has gone, is not open', async () => {
    const { metered, values } = setUp({ streamAggregates: parts });
    for await (const _part of metered.streamAggregates(ANY, STAYS)) break;
    const end = new AbortController();
    const reading = async () => {
      for await (const _part of metered.streamAggregates(ANY, end.signal)) end.abort();
    };
    await expect(reading()).rejects.toThrow();
    expect(await values()).toMatchObject({
      [open('StreamAggregates')]: 0,
      [calls('StreamAggregates', 'CANCELLED')]: 2,
    });
  });
});
