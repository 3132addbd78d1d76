/** ClickQueryService through the wire: what may be asked, and what the answer says. */

import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { queryClient } from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { QueryAggregatesRequest } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { RowStatus } from '../../src/contract/generated/clickledger/v1/RowStatus.ts';
import type { StoredAggregates, StoredRow } from '../../src/domain/aggregates.ts';
import { aggregateAnswers } from '../../src/query/aggregateAnswers.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import type { ReadPast } from '../../src/query/ports.ts';
import { queryService } from '../../src/query/queryService.ts';
import { serve } from '../support/grpcServer.ts';
import { question } from '../support/questions.ts';
import { SilentLog } from '../support/silentLog.ts';
import { UNASKED } from '../support/unasked.ts';
import { noPast, UNSETTLED } from '../support/unsettled.ts';

const DAY_MS = 86_400_000;
const MARCH_MS = Date.UTC(2024, 2, 1);
const GOOD = {
  ad_ids: ['ad-1'],
  from_ms: MARCH_MS,
  to_ms: MARCH_MS + DAY_MS,
  granularity: 'HOUR',
} satisfies QueryAggregatesRequest;

function rowOf(adId: string, bucketMs: number): StoredRow {
  return { group: [adId], bucketMs, valid: 1, repeat: 2, givt: 3, sivt: 4, defective: 5, test: 6 };
}

async function setUp(stored: () => Promise<StoredAggregates>, readPast: ReadPast = noPast) {
  const log = new SilentLog();
  const asked: unknown[][] = [];
  const reader = new AggregateReader({
    readStored: (...given) => {
      asked.push(given);
      return stored();
    },
    readPast,
    askOwner: () => Promise.resolve([]),
  });
  const address = await serve((server) =>
    server.addService(
      ClickQueryService.service,
      queryService({
        answers: { ...UNASKED, queryAggregates: aggregateAnswers({ reader, readAds }) },
        log,
      }),
    ),
  );
  const client = queryClient(address);
  onTestFinished(() => client.close());
  return { client, log, asked };
}

const readAds = () => Promise.reject(new Error('nobody asks the catalog here'));
const nothing = () => Promise.resolve({ ...UNSETTLED, rows: [], checkpoints: [] });

describe('a query', () => {
  it.each<[string, Partial<QueryAggregatesRequest>, RegExp]>([
    ['too many ads', { ad_ids: Array.from({ length: 1_001 }, (_, ad) => `${ad}`) }, /^ad_ids .*it has 1001$/],
    ['an empty ad', { ad_ids: ['a', ''] }, /^ad_ids "" is wrong: it must be 1 to 128 bytes/],
    ['a long ad', { ad_ids: ['x'.repeat(129)] }, /^ad_ids "x+" is wrong/],
    ['a control character', { ad_ids: ['a\u0000b'] }, /^ad_ids "a\\u0000b" is wrong/],
    ['an ad twice', { ad_ids: ['a', 'b', 'a'] }, /^ad_ids "a" stands there twice$/],
    ['a time off the minute', { from_ms: MARCH_MS + 1 }, /^from_ms \d+ is wrong: .*multiple of 60000/],
    ['an end off the minute', { to_ms: MARCH_MS + 59_999 }, /^to_ms \d+ is wrong: .*multiple of 60000/],
    ['a time before 1970', { from_ms: -60_000 }, /^from_ms -60000 is wrong/],
    [
      'a time after 9998',
      { to_ms: Date.UTC(9999, 0) + 60_000 },
      /^to_ms 253370764860000 is wrong: .*before the year 9999$/,
    ],
    [
      'more rows than a range may have',
      { to_ms: MARCH_MS + 550_001 * 60_000, granularity: 'MINUTE' },
      /^to_ms \d+ is wrong: from \d+ to it are 550001 rows of MINUTE .* at most 550000 /,
    ],
    ['no time at all', { to_ms: MARCH_MS }, /^to_ms \d+ is wrong: it must be after from_ms/],
    [
      'an end before its start',
      { to_ms: MARCH_MS - 60_000 },
      /^to_ms \d+ is wrong: it must be after from_ms/,
    ],
    [
      'no granularity',
      { granularity: 'GRANULARITY_UNSPECIFIED' },
      /^granularity \S+ is wrong: .*MINUTE, HOUR, DAY, WEEK, MONTH$/,
    ],
    [
      'a granularity that has no name',
      { granularity: 99 as never },
      /^granularity "99" is wrong: .*MINUTE, HOUR, DAY, WEEK, MONTH$/,
    ],
    [
      'an order as long as a request may be',
      { order_by: `clicks ${'y'.repeat(3_900_000)}` },
      /^order_by "clicks y{193}" is wrong/,
    ],
    [
      'a status that is none',
      { min_status: 9 as never },
      /^min_status "9" is wrong: .*PROVISIONAL, SETTLED, FINAL$/,
    ],
    ['a moment before 1970', { as_of_ms: -1 }, /^as_of_ms -1 is wrong/],
    ['the moment zero', { as_of_ms: 0 }, /^as_of_ms 0 is wrong/],
  ])('with %s is refused, and the error names the field', async (_what, changes, details) => {
    const { client, asked } = await setUp(nothing);
    const error = await client.queryAggregates({ ...GOOD, ...changes }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringMatching(details) });
    expect(asked).toEqual([]);
  });

  it.each(['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'] as const)(
    'of the last minutes that may be asked for is answered by %s in every zone',
    async (granularity) => {
      const { client } = await setUp(nothing);
      const range = { from_ms: Date.UTC(9999, 0) - 60_000, to_ms: Date.UTC(9999, 0) };
      for (const time_zone of ['UTC', 'Pacific/Kiritimati', 'Pacific/Pago_Pago'])
        expect((await client.queryAggregates({ ...GOOD, ...range, granularity, time_zone })).rows).toEqual(
          [],
        );
    },
  );

  it('is read just as it was asked, with one row more than may be answered', async () => {
    const { client, asked } = await setUp(nothing);
    expect(await client.queryAggregates(GOOD)).toMatchObject({
      rows: [],
      info: { partial: false, missing_shards: [] },
    });
    const range = { fromMs: MARCH_MS, toMs: MARCH_MS + DAY_MS };
    expect(asked).toEqual([[question(['ad-1'], range, 'HOUR'), 50_001, expect.any(AbortSignal)]]);
  });

  it('gets every count under its own name: gross is what is not defective and no test', async () => {
    const { client } = await setUp(() =>
      Promise.resolve({ ...UNSETTLED, rows: [rowOf('ad-1', MARCH_MS)], checkpoints: [] }),
    );
    expect((await client.queryAggregates(GOOD)).rows).toMatchObject([
      {
        ad_id: 'ad-1',
        from_ms: MARCH_MS,
        to_ms: MARCH_MS + 3_600_000,
        metrics: {
          gross_clicks: 10,
          clicks: 1,
          repeat_clicks: 2,
          general_invalid_clicks: 3,
          sophisticated_invalid_clicks: 4,
          defective_clicks: 5,
          test_clicks: 6,
        },
        status: 'PROVISIONAL',
      },
    ]);
  });

  it('gets rows that end where the range ends, for what they hold is no more', async () => {
    const from_ms = MARCH_MS - DAY_MS;
    const to_ms = MARCH_MS + 90 * 60_000;
    const february = Date.UTC(2024, 1, 1);
    const rows = [rowOf('ad-1', february), rowOf('ad-1', MARCH_MS)];
    const { client } = await setUp(() => Promise.resolve({ ...UNSETTLED, rows, checkpoints: [] }));
    const answer = await client.queryAggregates({ ...GOOD, from_ms, to_ms, granularity: 'MONTH' });
    expect(answer.rows.map((row) => [row.from_ms, row.to_ms])).toEqual([
      [from_ms, MARCH_MS],
      [MARCH_MS, to_ms],
    ]);
  });

  it('is told where unflushed counts are missing, and how fresh the rest is', async () => {
    const checkpoint = {
      shard: 7,
      owner: undefined,
      epoch: 1,
      claim: undefined,
      floor: 0,
      arrivedThroughMs: 1_234.9,
    };
    const { client } = await setUp(() =>
      Promise.resolve({ ...UNSETTLED, rows: [], checkpoints: [checkpoint] }),
    );
    expect((await client.queryAggregates(GOOD)).info).toEqual({
      arrived_through_ms: 1_234,
      partial: true,
      missing_shards: [7],
      settled_through_ms: 0,
      final_through_ms: 0,
    });
  });

  it('whose answer would be too large is refused with what to ask instead; one row less is answered', async () => {
    let size = 50_000;
    const rows = () => Array.from({ length: size }, (_, minute) => rowOf('ad-1', MARCH_MS + minute * 60_000));
    const { client } = await setUp(() => Promise.resolve({ ...UNSETTLED, rows: rows(), checkpoints: [] }));
    expect((await client.queryAggregates(GOOD)).rows.length).toBe(50_000);
    size += 1;
    await expect(client.queryAggregates(GOOD)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(
        'fewer ad_ids, a shorter range, a coarser granularity or fewer groups, or a page_size',
      ),
    });
  });

  it('that PostgreSQL does not answer is unavailable; why is logged, not shown', async () => {
    const { client, log } = await setUp(() => Promise.reject(new Error('a secret of the inside')));
    const error = await client.queryAggregates(GOOD).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: status.UNAVAILABLE,
      details: 'the counts cannot be read now; ask again',
    });
    expect(log.lines.map(({ level }) => level)).toEqual(['error']);
  });
});

describe('a query for settled counts', () => {
  const at = (minutes: number) => MARCH_MS + minutes * 60_000;
  const settlement = { watchedThroughMs: at(90), settledThroughMs: at(60), closedThroughMs: at(30) };
  const ask = async (
    min_status: RowStatus,
    fromMinutes: number,
    toMinutes: number,
    changes: Partial<StoredAggregates> = {},
  ) => {
    const { client } = await setUp(async () => ({
      rows: [],
      checkpoints: [],
      settlement,
      restated: [],
      differing: [],
      ...changes,
    }));
    const range = { from_ms: at(fromMinutes), to_ms: at(toMinutes) };
    return client.queryAggregates({ ...GOOD, ...range, min_status }).then(
      () => 'answered',
      (error: { code: number; details: string }) => [error.code, error.details],
    );
  };
  const refused = (words: string) => [status.FAILED_PRECONDITION, expect.stringContaining(words)];

  it('is answered where every minute has the status, and else told the first that has not', async () => {
    expect(await ask('SETTLED', 0, 60)).toBe('answered');
    expect(await ask('FINAL', 0, 30)).toBe('answered');
    expect(await ask('PROVISIONAL', 0, 900)).toBe('answered');
    expect(await ask('ROW_STATUS_UNSPECIFIED', 0, 900)).toBe('answered');
    expect(await ask('SETTLED', 0, 61)).toEqual(
      refused(
        `minute 2024-03-01T01:00:00.000Z is PROVISIONAL, min_status is SETTLED: minutes are settled before 2024-03-01T01:00:00.000Z (${at(60)}). Right is a to_ms of at most that`,
      ),
    );
    expect(await ask('SETTLED', 70, 80)).toEqual(refused('minute 2024-03-01T01:10:00.000Z is PROVISIONAL'));
    expect(await ask('FINAL', 0, 31)).toEqual(
      refused('minute 2024-03-01T00:30:00.000Z is SETTLED, min_status is FINAL'),
    );
    expect(await ask('FINAL', 61, 62)).toEqual(refused('minute 2024-03-01T01:01:00.000Z is PROVISIONAL'));
    const never = {
      settlement: { watchedThroughMs: -Infinity, settledThroughMs: -Infinity, closedThroughMs: -Infinity },
    };
    expect(await ask('SETTLED', 0, 1, never)).toEqual(refused('no minute is settled yet'));
  });

  it('is refused where a replay found a window to differ, though nothing is counted of it', async () => {
    const differing = [45, 40].map((minutes) => ({
      ads: ['ad-1'],
      adId: 'ad-1',
      bucketMs: MARCH_MS,
      minute: at(minutes),
    }));
    const words =
      'ad "ad-1", minute 2024-03-01T00:40:00.000Z is PROVISIONAL, min_status is SETTLED: a replay found';
    expect(await ask('SETTLED', 0, 60, { differing })).toEqual(refused(words));
    expect(await ask('SETTLED', 0, 61, { differing })).toEqual(refused(words));
    expect(await ask('FINAL', 0, 60, { differing })).toEqual(
      refused('minute 2024-03-01T00:30:00.000Z is SETTLED'),
    );
  });

  it('asks no owner: what they have not flushed does not belong to it', async () => {
    const checkpoint = {
      shard: 1,
      owner: undefined,
      epoch: 1,
      claim: undefined,
      floor: 0,
      arrivedThroughMs: 77,
    };
    const stored = {
      rows: [rowOf('ad-1', MARCH_MS)],
      checkpoints: [checkpoint],
      settlement,
      restated: [],
      differing: [],
    };
    const { client } = await setUp(async () => stored);
    const answer = await client.queryAggregates({ ...GOOD, to_ms: at(60), granularity: 'HOUR' });
    expect(answer.info).toEqual({
      arrived_through_ms: 77,
      partial: false,
      missing_shards: [],
      settled_through_ms: at(60),
      final_through_ms: at(30),
    });
    expect(answer.rows).toMatchObject([{ status: 'SETTLED', revision: 0 }]);
  });
});

describe('a query for counts as of a moment', () => {
  const settlement = {
    watchedThroughMs: MARCH_MS,
    settledThroughMs: MARCH_MS + DAY_MS,
    closedThroughMs: -Infinity,
  };
  const asOf = { ...GOOD, as_of_ms: MARCH_MS + 3 * DAY_MS };

  it('gets what was settled then, with status and revision', async () => {
    const asked: unknown[][] = [];
    const { client } = await setUp(nothing, async (...given) => {
      asked.push(given);
      const restated = [{ ads: ['ad-1'], bucketMs: MARCH_MS, revision: 4 }];
      return { kind: 'read', rows: [rowOf('ad-1', MARCH_MS)], settlement, restated, differing: [] };
    });
    const answer = await client.queryAggregates(asOf);
    expect(answer.rows).toMatchObject([{ status: 'SETTLED', revision: 4, metrics: { clicks: 1 } }]);
    expect(answer.info).toEqual({
      arrived_through_ms: 0,
      partial: false,
      missing_shards: [],
      settled_through_ms: MARCH_MS + DAY_MS,
      final_through_ms: 0,
    });
    const range = { fromMs: MARCH_MS, toMs: MARCH_MS + DAY_MS };
    expect(asked).toEqual([
      [asOf.as_of_ms, question(['ad-1'], range, 'HOUR'), 50_001, expect.any(AbortSignal)],
    ]);
    const final = client.queryAggregates({ ...asOf, min_status: 'FINAL' });
    await expect(final).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });

  it('is told through when minutes were settled where the range goes beyond', async () => {
    const { client } = await setUp(nothing, async () => ({
      kind: 'read',
      rows: [],
      settlement,
      restated: [],
      differing: [],
    }));
    await expect(
      client.queryAggregates({ ...asOf, to_ms: GOOD.to_ms + 60_000 } as typeof asOf),
    ).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining(
        `at as_of_ms minutes were settled only before 2024-03-02T00:00:00.000Z (${GOOD.to_ms})`,
      ),
    });
  });

  it('is refused ahead of the clock, and unavailable while a change from before is not through', async () => {
    const future = await setUp(nothing, async () => ({ kind: 'future', nowMs: 5 }));
    await expect(future.client.queryAggregates(asOf)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining("must not be ahead of the database's clock, which says 5"),
    });
    const pending = await setUp(nothing, async () => ({ kind: 'pending' }));
    await expect(pending.client.queryAggregates(asOf)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});
