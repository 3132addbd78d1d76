/** ClickQueryService through the wire: what may be asked, and what the answer says. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { queryClient } from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { QueryAggregatesRequest } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { StoredAggregates, StoredRow } from '../../src/domain/aggregates.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import { queryService } from '../../src/query/queryService.ts';
import { serve } from '../support/grpcServer.ts';
import { SilentLog } from '../support/silentLog.ts';

const DAY_MS = 86_400_000;
const MARCH_MS = Date.UTC(2024, 2, 1);
const GOOD: QueryAggregatesRequest = {
  ad_ids: ['ad-1'],
  from_ms: MARCH_MS,
  to_ms: MARCH_MS + DAY_MS,
  granularity: 'HOUR',
};

function rowOf(adId: string, bucketMs: number): StoredRow {
  return { adId, bucketMs, valid: 1, repeat: 2, givt: 3, sivt: 4, defective: 5, test: 6 };
}

async function setUp(stored: () => Promise<StoredAggregates>) {
  const log = new SilentLog();
  const asked: unknown[][] = [];
  const reader = new AggregateReader({
    readStored: (...given) => {
      asked.push(given);
      return stored();
    },
    askOwner: () => Promise.resolve([]),
  });
  const address = await serve((server) =>
    server.addService(ClickQueryService.service, queryService({ reader, log })),
  );
  const client = queryClient(address);
  onTestFinished(() => client.close());
  return { client, log, asked };
}

const nothing = () => Promise.resolve({ rows: [], checkpoints: [] });

describe('a query', () => {
  it.each<[string, Partial<QueryAggregatesRequest>, RegExp]>([
    ['no ads', { ad_ids: [] }, /^ad_ids must have 1 to 1000 entries, it has 0$/],
    ['too many ads', { ad_ids: Array.from({ length: 1_001 }, (_, ad) => `${ad}`) }, /^ad_ids .*it has 1001$/],
    ['an empty ad', { ad_ids: ['a', ''] }, /^ad_ids "" is wrong: it must be 1 to 128 bytes/],
    ['a long ad', { ad_ids: ['x'.repeat(129)] }, /^ad_ids "x+" is wrong/],
    ['a control character', { ad_ids: ['a\u0000b'] }, /^ad_ids "a\\u0000b" is wrong/],
    ['an ad twice', { ad_ids: ['a', 'b', 'a'] }, /^ad_ids "a" stands there twice$/],
    ['a time off the minute', { from_ms: MARCH_MS + 1 }, /^from_ms \d+ is wrong: .*multiple of 60000/],
    ['an end off the minute', { to_ms: MARCH_MS + 59_999 }, /^to_ms \d+ is wrong: .*multiple of 60000/],
    ['a time before 1970', { from_ms: -60_000 }, /^from_ms -60000 is wrong/],
    ['a time beyond all dates', { to_ms: 8.64e15 + 60_000 }, /^to_ms 8640000000060000 is wrong/],
    ['no time at all', { to_ms: MARCH_MS }, /^to_ms \d+ is wrong: it must be after from_ms/],
    [
      'an end before its start',
      { to_ms: MARCH_MS - 60_000 },
      /^to_ms \d+ is wrong: it must be after from_ms/,
    ],
    [
      'no granularity',
      { granularity: 'GRANULARITY_UNSPECIFIED' },
      /^granularity \S+ is wrong: .*MINUTE, HOUR, DAY, MONTH$/,
    ],
  ])('with %s is refused, and the error names the field', async (_what, changes, details) => {
    const { client, asked } = await setUp(nothing);
    const error = await client.queryAggregates({ ...GOOD, ...changes }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringMatching(details) });
    expect(asked).toEqual([]);
  });

  it('is read just as it was asked, with one row more than may be answered', async () => {
    const { client, asked } = await setUp(nothing);
    expect(await client.queryAggregates(GOOD)).toMatchObject({
      rows: [],
      info: { partial: false, missing_shards: [] },
    });
    expect(asked).toEqual([[['ad-1'], { fromMs: MARCH_MS, toMs: MARCH_MS + DAY_MS }, 'HOUR', 50_001]]);
  });

  it('gets every count under its own name: gross is what is not defective and no test', async () => {
    const { client } = await setUp(() =>
      Promise.resolve({ rows: [rowOf('ad-1', MARCH_MS)], checkpoints: [] }),
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
    const { client } = await setUp(() => Promise.resolve({ rows, checkpoints: [] }));
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
    const { client } = await setUp(() => Promise.resolve({ rows: [], checkpoints: [checkpoint] }));
    expect((await client.queryAggregates(GOOD)).info).toEqual({
      arrived_through_ms: 1_234,
      partial: true,
      missing_shards: [7],
    });
  });

  it('whose answer would be too large is refused with what to ask instead; one row less is answered', async () => {
    let size = 50_000;
    const rows = () => Array.from({ length: size }, (_, minute) => rowOf('ad-1', MARCH_MS + minute * 60_000));
    const { client } = await setUp(() => Promise.resolve({ rows: rows(), checkpoints: [] }));
    expect((await client.queryAggregates(GOOD)).rows.length).toBe(50_000);
    size += 1;
    await expect(client.queryAggregates(GOOD)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('fewer ad_ids, a shorter range, or a coarser granularity'),
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
