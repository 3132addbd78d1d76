/** Counts and checkpoints of one moment, in UTC buckets over half-open ranges. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readAggregates } from '../../../src/adapters/postgres/readAggregates.ts';
import { releaseShard } from '../../../src/adapters/postgres/releaseShard.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { Buckets } from '../../../src/domain/buckets.ts';
import { GRANULARITIES, type Granularity } from '../../../src/domain/granularity.ts';
import { question } from '../../support/questions.ts';
import {
  addShard,
  asPool,
  CLAIM,
  delta,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  untilWaiting,
} from './ledger.ts';

const ALL = { fromMs: Date.UTC(2024, 0), toMs: Date.UTC(2026, 5) };

/** Around midnight at the end of February of a leap year, and of a month, an hour and a year. */
const MINUTES = [
  Date.UTC(2024, 1, 28, 23, 59),
  Date.UTC(2024, 1, 29, 0, 0),
  Date.UTC(2024, 1, 29, 22, 59),
  Date.UTC(2024, 1, 29, 23, 0),
  Date.UTC(2024, 1, 29, 23, 59),
  Date.UTC(2024, 2, 1, 0, 0),
  Date.UTC(2024, 11, 31, 23, 59),
  Date.UTC(2025, 0, 1, 0, 0),
  // Where New York and Kathmandu have no whole hour of UTC, or one twice.
  Date.UTC(2025, 10, 2, 5, 59),
  Date.UTC(2025, 10, 2, 6, 0),
];

let ledger: Ledger;

beforeAll(async () => {
  ledger = await openLedger();
  await addShard(ledger, 0);
  const rows = MINUTES.flatMap((minute, index) => [
    delta('ad', minute, { valid: 10 ** index, repeat: 1, givt: 2, sivt: 3, defective: 4, test: 5 }),
    delta('other', minute, { valid: 7 }),
  ]);
  await storeFlush(ledger.pool, partitionsOf(ledger), flushOf({ rows }));
});
afterAll(() => ledger.end());

/** Sessions whose time zone has half hours and summer time must not show it. */
const ZONES = ['UTC', 'Asia/Kathmandu', 'America/New_York'];

const read = async (granularity: Granularity, range = ALL, adIds = ['ad'], rowsMax = 1_000) =>
  (await readAggregates(ledger.pool, question(adIds, range, granularity), rowsMax)).rows.toSorted(
    (left, right) => left.bucketMs - right.bucketMs,
  );

describe('buckets', () => {
  test.each(GRANULARITIES)(
    'of a %s are cut at UTC boundaries and hold the sums of their minutes',
    async (granularity) => {
      const expected = new Map<number, number>();
      for (const [index, minute] of MINUTES.entries()) {
        const bucket = new Buckets(ALL, granularity, 'UTC').startOf(minute);
        expected.set(bucket, (expected.get(bucket) ?? 0) + 10 ** index);
      }
      for (const zone of ZONES) {
        const { rows } = await inSession(ledger, async (client) => {
          await client.query(`set timezone = '${zone}'`);
          const session = { query: client.query.bind(client), release: () => undefined };
          const pool = { connect: () => Promise.resolve(session) } as unknown as typeof ledger.pool;
          return readAggregates(pool, question(['ad'], ALL, granularity), 1_000);
        });
        expect(new Map(rows.map(({ bucketMs, valid }) => [bucketMs, valid]))).toEqual(expected);
        expect(rows).toHaveLength(expected.size);
      }
    },
  );

  test('hold every count, of no ad that was not asked for', async () => {
    const rows = await read('MONTH', { fromMs: Date.UTC(2024, 1), toMs: Date.UTC(2024, 2) });
    expect(rows).toEqual([
      {
        group: ['ad'],
        bucketMs: Date.UTC(2024, 1),
        valid: 11_111,
        repeat: 5,
        givt: 10,
        sivt: 15,
        defective: 20,
        test: 25,
      },
    ]);
    const both = await readAggregates(ledger.pool, question(['other', 'ad', 'unknown'], ALL, 'DAY'), 1_000);
    expect(new Set(both.rows.map(({ group }) => group[0]))).toEqual(new Set(['ad', 'other']));
    expect(await read('DAY', ALL, [])).toEqual([]);
  });

  test('count only minutes of the range, the first in and the last out', async () => {
    const [, , , eleven = 0, midnight = 0, next = 0] = MINUTES;
    const valid = async (fromMs: number, toMs: number) =>
      (await read('DAY', { fromMs, toMs })).reduce((sum, row) => sum + row.valid, 0);
    expect(await valid(eleven, next)).toBe(11_000);
    expect(await valid(eleven, next + 60_000)).toBe(111_000);
    expect(await valid(eleven + 60_000, midnight)).toBe(0);
    expect(await valid(midnight, midnight + 60_000)).toBe(10_000);
  });

  test('are never more than asked for', async () => {
    expect(await read('MINUTE', ALL, ['ad', 'other'], 3)).toHaveLength(3);
  });

  test('beyond 2^53 are an error, not a number that is nearly right', async () => {
    const own = await openLedger();
    onTestFinished(() => own.end());
    await addShard(own, 0);
    const rows = [
      delta('ad', MINUTE, { valid: Number.MAX_SAFE_INTEGER }),
      delta('ad', MINUTE + 60_000, { valid: 1 }),
    ];
    await storeFlush(own.pool, partitionsOf(own), flushOf({ rows }));
    const minutes = await readAggregates(own.pool, question(['ad'], ALL, 'MINUTE'), 10);
    expect(minutes.rows).toHaveLength(2);
    await expect(readAggregates(own.pool, question(['ad'], ALL, 'HOUR'), 10)).rejects.toThrow('beyond 2^53');
  });
});

describe('checkpoints', () => {
  test('come for every shard in order, also where nothing was counted and nobody owns it', async () => {
    const own = await openLedger();
    onTestFinished(() => own.end());
    await addShard(own, 2, { owner: 'two', epoch: 5, floor: 9 });
    await addShard(own, 0, { owner: 'gone' });
    await releaseShard(own.pool, { shard: 0, epoch: 1, claim: CLAIM });
    await own.pool.query('update shard set arrived_through_ms = 1760000000123 where shard = 2');
    const { rows, checkpoints } = await readAggregates(own.pool, question(['ad'], ALL, 'DAY'), 10);
    expect(rows).toEqual([]);
    expect(checkpoints).toEqual([
      { shard: 0, owner: undefined, epoch: 1, claim: CLAIM, floor: 0, arrivedThroughMs: 0 },
      { shard: 2, owner: 'two', epoch: 5, claim: CLAIM, floor: 9, arrivedThroughMs: 1_760_000_000_123 },
    ]);
  });

  test('are of the same moment as the counts: a flush between the two reads is not half seen', async () => {
    const own = await openLedger();
    onTestFinished(() => own.end());
    await addShard(own, 0);
    const partitions = partitionsOf(own);
    await storeFlush(own.pool, partitions, flushOf({ rows: [delta('ad', MINUTE, { valid: 1 })] }));
    const before = await inSession(own, async (flusher) => {
      await flusher.query('begin');
      // The reader gets its counts, and is held up where it wants to read the checkpoints.
      await flusher.query('lock table shard in access exclusive mode');
      const reading = readAggregates(own.pool, question(['ad'], ALL, 'MINUTE'), 10);
      await untilWaiting(own);
      const flush = flushOf({ floor: 10, newFloor: 20, rows: [delta('ad', MINUTE, { valid: 1 })] });
      expect(await storeFlush(asPool(flusher), partitions, flush)).toEqual({ kind: 'stored' });
      await flusher.query('commit');
      return reading;
    });
    expect([before.rows[0]?.valid, before.checkpoints[0]?.floor]).toEqual([1, 10]);
    const after = await readAggregates(own.pool, question(['ad'], ALL, 'MINUTE'), 10);
    expect([after.rows[0]?.valid, after.checkpoints[0]?.floor]).toEqual([2, 20]);
  });
});

test('an error in the middle leaves no connection behind in a broken transaction', async () => {
  const own = await openLedger();
  onTestFinished(() => own.end());
  await addShard(own, 0);
  await storeFlush(own.pool, partitionsOf(own), flushOf({ rows: [delta('ad', MINUTE, { valid: 1 })] }));
  for (let tries = 0; tries < 20; tries++) {
    await expect(readAggregates(own.pool, question(['ad'], ALL, 'DAY'), -1)).rejects.toThrow();
  }
  expect((await readAggregates(own.pool, question(['ad'], ALL, 'DAY'), 10)).checkpoints).toHaveLength(1);
});
