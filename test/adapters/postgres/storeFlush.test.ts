/** I8: counts and floor move together, once, and only for the owner whose checkpoint it is (I9). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimShards } from '../../../src/adapters/postgres/claimShards.ts';
import { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { releaseShard } from '../../../src/adapters/postgres/releaseShard.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { DeadLetter } from '../../../src/domain/deadLetter.ts';
import {
  addShard,
  asPool,
  CLAIM,
  countedRows,
  delta,
  emptyLedger,
  flushOf,
  INCARNATION,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  shardRow,
  untilWaiting,
} from './ledger.ts';

const DAY_MS = 86_400_000;
/** Another owner's random word. */
const OTHER_CLAIM = '1f0c9d52-6a3e-4f8b-8c1d-5e2b7a9034c6';
const BIGINT_MAX = 2n ** 63n - 1n;

let ledger: Ledger;
let partitions: DayPartitions;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  partitions = partitionsOf(ledger);
});

const COUNTS = {
  valid: 1,
  repeat: 2,
  givt: 3,
  sivt: 4,
  defective: 5,
  test: 6,
  fingerprintHigh: 2 ** 52,
  fingerprintLow: 8,
};
const STORED = {
  valid: 1,
  repeat: 2,
  givt: 3,
  sivt: 4,
  defective: 5,
  test: 6,
  high: 2 ** 52,
  low: 8,
};

const letter = (sequence: number, index: number, bytes: Uint8Array): DeadLetter => ({
  sequence,
  index,
  reason: 'undecodable',
  bytes,
});

async function deadLetters(): Promise<unknown[]> {
  const { rows } = await ledger.pool.query<Record<string, unknown> & { bytes: Buffer }>(
    'select shard, incarnation, sequence::float8, index, reason, bytes from dead_letter order by sequence, index',
  );
  return rows.map((row) => ({ ...row, bytes: row.bytes.toString('hex') }));
}

async function partitionNames(): Promise<string[]> {
  const { rows } = await ledger.pool.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'ad_minute'::regclass order by 1`,
  );
  return rows.map(({ name }) => name);
}

describe('a flush', () => {
  test('puts every column where it belongs and moves the whole checkpoint', async () => {
    await addShard(ledger, 0);
    const flush = flushOf({
      newFloor: 12,
      streamTimeMs: MINUTE + 1_234.9,
      arrivedThroughMs: MINUTE + 2_345.9,
      records: 30,
      duplicates: 7,
      rows: [delta('ad', MINUTE, COUNTS)],
      deadLetters: [letter(3, 1, Buffer.from('x'))],
    });
    expect(await storeFlush(ledger.pool, partitions, flush)).toEqual({ kind: 'stored' });
    expect(await countedRows(ledger)).toEqual([{ ad_id: 'ad', minute: MINUTE, ...STORED }]);
    expect(await shardRow(ledger, 0)).toEqual({
      owner: 'one',
      epoch: 1,
      floor: 12,
      stream_time: MINUTE + 1_234,
      arrived: MINUTE + 2_345,
      records: 30,
      duplicates: 7,
      dead_letters: 1,
    });
  });

  test('adds to what is there: to each count, each window and the sums of the shard', async () => {
    await addShard(ledger, 0);
    await addShard(ledger, 1);
    const rows = [delta('ad', MINUTE, COUNTS), delta('other', MINUTE + 60_000, { valid: 5 })];
    const sums = { records: 4, duplicates: 1, rows };
    await storeFlush(ledger.pool, partitions, flushOf({ ...sums, newFloor: 10 }));
    await storeFlush(ledger.pool, partitions, flushOf({ ...sums, floor: 10, newFloor: 20 }));
    // Another shard with a part of the same ad, as a hot ad has it.
    await storeFlush(ledger.pool, partitions, flushOf({ ...sums, shard: 1 }));
    const [ad, other] = await countedRows(ledger);
    const tripled = Object.fromEntries(Object.entries(STORED).map(([name, value]) => [name, value * 3]));
    expect(ad).toEqual({ ad_id: 'ad', minute: MINUTE, ...tripled });
    expect(other).toMatchObject({ ad_id: 'other', minute: MINUTE + 60_000, valid: 15, repeat: 0 });
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 20, records: 8, duplicates: 2 });
  });

  test('with nothing counted still moves the floor, and arrived_through never back', async () => {
    await addShard(ledger, 0);
    await storeFlush(ledger.pool, partitions, flushOf({ arrivedThroughMs: MINUTE + 9_000 }));
    const later = flushOf({ floor: 10, newFloor: 11, arrivedThroughMs: MINUTE });
    expect(await storeFlush(ledger.pool, partitions, later)).toEqual({ kind: 'stored' });
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 11, arrived: MINUTE + 9_000, dead_letters: 0 });
  });

  test('repeated after its answer was lost says stored and adds nothing', async () => {
    await addShard(ledger, 0);
    const flush = flushOf({
      records: 9,
      duplicates: 2,
      rows: [delta('ad', MINUTE, COUNTS)],
      deadLetters: [letter(4, 0, Buffer.from('x'))],
    });
    for (let tries = 0; tries < 3; tries++) {
      expect(await storeFlush(ledger.pool, partitions, flush)).toEqual({ kind: 'stored' });
    }
    expect(await countedRows(ledger)).toEqual([{ ad_id: 'ad', minute: MINUTE, ...STORED }]);
    expect(await shardRow(ledger, 0)).toMatchObject({ records: 9, duplicates: 2, dead_letters: 1 });
    expect(await deadLetters()).toHaveLength(1);
  });

  test.each([
    ['an older epoch', { epoch: 2 }],
    ['a newer epoch than the ledger knows, as after it was restored', { epoch: 4 }],
    ['another claim under the same epoch, as after PostgreSQL went back', { claim: OTHER_CLAIM }],
    ['a floor behind the ledger', { floor: 90 }],
    ['a floor ahead of the ledger, as after it was restored', { floor: 110, newFloor: 120 }],
    ['a shard that has no row', { shard: 5 }],
  ])('is fenced by %s, and leaves no trace', async (_what, wrong) => {
    await addShard(ledger, 0, { epoch: 3, floor: 100, owner: 'two' });
    const right = flushOf({
      epoch: 3,
      floor: 100,
      newFloor: 110,
      records: 5,
      rows: [delta('ad', MINUTE, COUNTS)],
      deadLetters: [letter(101, 0, Buffer.from('x'))],
    });
    const outcome = await storeFlush(ledger.pool, partitions, { ...right, ...wrong });
    const found = 'shard' in wrong ? 'no row' : `owner two, epoch 3, claim ${CLAIM}, floor 100`;
    expect(outcome).toEqual({ kind: 'fenced', found });
    expect(await countedRows(ledger)).toEqual([]);
    expect(await deadLetters()).toEqual([]);
    expect(await shardRow(ledger, 0)).toMatchObject({ epoch: 3, floor: 100, records: 0, dead_letters: 0 });
    expect(await storeFlush(ledger.pool, partitions, right)).toEqual({ kind: 'stored' });
  });

  test('an earlier owner whose floor is where the flush wanted to go is fenced all the same', async () => {
    await addShard(ledger, 0, { epoch: 2, floor: 10, owner: 'two' });
    const flush = flushOf({ epoch: 1, floor: 0, newFloor: 10, rows: [delta('ad', MINUTE, COUNTS)] });
    expect(await storeFlush(ledger.pool, partitions, flush)).toMatchObject({ kind: 'fenced' });
  });

  test('of a paused owner that waits behind a take-over is refused when the take-over is through', async () => {
    await addShard(ledger, 0);
    await ledger.pool.query(`update shard set lease_until = '-infinity'`);
    // The partition is there already: nothing but the checkpoint's row lock is waited for.
    await partitions.ensure([MINUTE]);
    const flush = flushOf({
      rows: [delta('ad', MINUTE, COUNTS)],
      deadLetters: [letter(1, 0, Buffer.from('x'))],
    });
    await inSession(ledger, async (takeOver) => {
      await takeOver.query('begin');
      // The new owner's claim, held open before its commit.
      const shards = [{ shard: 0, incarnation: INCARNATION, claim: OTHER_CLAIM, onlyTakeOver: false }];
      const [claimed] = await claimShards(asPool(takeOver), 'two', shards, 1, 60_000);
      expect(claimed?.epoch).toBe(2);
      const zombie = storeFlush(ledger.pool, partitions, flush);
      await untilWaiting(ledger);
      await takeOver.query('commit');
      const found = `owner two, epoch 2, claim ${OTHER_CLAIM}, floor 0`;
      expect(await zombie).toEqual({ kind: 'fenced', found });
    });
    expect(await countedRows(ledger)).toEqual([]);
    expect(await deadLetters()).toEqual([]);
    const next = flushOf({ epoch: 2, claim: OTHER_CLAIM, rows: [delta('ad', MINUTE, COUNTS)] });
    expect(await storeFlush(ledger.pool, partitions, next)).toEqual({ kind: 'stored' });
  });

  test('of a zombie is refused when PostgreSQL went back and gave its epoch to another owner', async () => {
    const { pool } = ledger;
    const claim = async (owner: string, word: string) => {
      const [checkpoint] = await claimShards(
        pool,
        owner,
        [{ shard: 0, incarnation: INCARNATION, claim: word, onlyTakeOver: false }],
        1,
        60_000,
      );
      return checkpoint;
    };
    await addShard(ledger, 0);
    await releaseShard(pool, { shard: 0, epoch: 1, claim: CLAIM });
    // What a backup from before the first claim brings back.
    await pool.query('create table earlier as table shard');
    const zombie = await claim('one', CLAIM);
    await pool.query('truncate shard');
    await pool.query('insert into shard table earlier');
    await pool.query('drop table earlier');
    const owner = await claim('two', OTHER_CLAIM);
    expect(owner?.epoch).toBe(zombie?.epoch);
    const of = (claimed: string) =>
      flushOf({ epoch: 2, claim: claimed, records: 1, rows: [delta('ad', MINUTE, COUNTS)] });
    expect(await storeFlush(pool, partitions, of(CLAIM))).toMatchObject({ kind: 'fenced' });
    expect(await countedRows(ledger)).toEqual([]);
    expect(await storeFlush(pool, partitions, of(OTHER_CLAIM))).toEqual({ kind: 'stored' });
    // Epoch and floor are now just those that the zombie wanted, which does not mean that it went through.
    expect(await storeFlush(pool, partitions, of(CLAIM))).toMatchObject({ kind: 'fenced' });
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: 'two', epoch: 2, floor: 10, records: 1 });
  });

  test('sent twice at once by one owner takes effect once, and both are told so', async () => {
    await addShard(ledger, 0);
    const flush = flushOf({ records: 3, rows: [delta('ad', MINUTE, COUNTS)] });
    const outcomes = await Promise.all([1, 2, 3].map(() => storeFlush(ledger.pool, partitions, flush)));
    expect(outcomes).toEqual([{ kind: 'stored' }, { kind: 'stored' }, { kind: 'stored' }]);
    expect(await countedRows(ledger)).toEqual([{ ad_id: 'ad', minute: MINUTE, ...STORED }]);
    expect(await shardRow(ledger, 0)).toMatchObject({ records: 3 });
  });

  test('of many owners at once on the same rows, each in another order, loses no count to a deadlock', async () => {
    const shards = [0, 1, 2, 3, 4, 5];
    for (const shard of shards) await addShard(ledger, shard);
    const rows = Array.from({ length: 300 }, (_, index) =>
      delta(`ad ${index % 50}`, MINUTE + Math.floor(index / 50) * 60_000, { valid: 1 }),
    );
    for (let round = 0; round < 5; round++) {
      const outcomes = await Promise.all(
        shards.map((shard) => {
          const turned = [...rows.slice(shard * 37), ...rows.slice(0, shard * 37)];
          const given = shard % 2 === 0 ? turned : turned.reverse();
          return storeFlush(
            ledger.pool,
            partitions,
            flushOf({ shard, floor: round, newFloor: round + 1, rows: given }),
          );
        }),
      );
      expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true);
    }
    const counted = await countedRows(ledger);
    expect(counted).toHaveLength(300);
    expect(new Set(counted.map(({ valid }) => valid))).toEqual(new Set([30]));
  });

  test('keeps ad_ids as they are: quotes, backslashes, braces, commas, NULL, any script', async () => {
    await addShard(ledger, 0);
    const adIds = [
      'a"b',
      "a'b",
      'a\\b',
      '\\',
      '"',
      '{a,b}',
      '{',
      'a,b',
      'NULL',
      'null',
      ' padded ',
      '$1',
      'naïve',
      'विज्ञापन',
      '広告',
      '🖱️',
      'e\u0301',
      'é',
      "'; drop table shard; --",
      '%s\t\r\n',
    ];
    const rows = adIds.map((adId, index) => delta(adId, MINUTE, { valid: index + 1 }));
    await storeFlush(ledger.pool, partitions, flushOf({ rows }));
    const counted = await countedRows(ledger);
    expect(new Map(counted.map(({ ad_id, valid }) => [ad_id, valid]))).toEqual(
      new Map(adIds.map((adId, index) => [adId, index + 1])),
    );
  });

  test('with an ad_id that PostgreSQL cannot store is an error: the floor stays', async () => {
    await addShard(ledger, 0);
    const flush = flushOf({ rows: [delta('ok', MINUTE, COUNTS), delta('a\0b', MINUTE, COUNTS)] });
    await expect(storeFlush(ledger.pool, partitions, flush)).rejects.toThrow();
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 0 });
    expect(await countedRows(ledger)).toEqual([]);
  });

  test('with a window twice is an error, not half a count', async () => {
    await addShard(ledger, 0);
    const flush = flushOf({ rows: [delta('ad', MINUTE, COUNTS), delta('ad', MINUTE, COUNTS)] });
    await expect(storeFlush(ledger.pool, partitions, flush)).rejects.toThrow('a second time');
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 0 });
    expect(await countedRows(ledger)).toEqual([]);
  });

  test.each(['valid', 'repeat', 'givt', 'sivt', 'defective', 'test', 'fingerprint_high', 'fingerprint_low'])(
    'that would run %s over is an error, and no count wraps',
    async (column) => {
      await addShard(ledger, 0);
      await storeFlush(ledger.pool, partitions, flushOf({ rows: [delta('ad', MINUTE, COUNTS)] }));
      await ledger.pool.query(`update ad_minute set ${column} = ${BIGINT_MAX}`);
      const [before] = await countedRows(ledger);
      const over = flushOf({ floor: 10, newFloor: 20, rows: [delta('ad', MINUTE, COUNTS)] });
      await expect(storeFlush(ledger.pool, partitions, over)).rejects.toThrow('bigint out of range');
      expect(await countedRows(ledger)).toEqual([before]);
      expect(await shardRow(ledger, 0)).toMatchObject({ floor: 10 });
    },
  );
});

describe('dead letters', () => {
  test('are kept with every byte, and counted, once', async () => {
    await addShard(ledger, 0);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const letters: DeadLetter[] = [
      letter(1, 0, bytes),
      { ...letter(1, 7, new Uint8Array(0)), reason: 'misrouted' },
      // A view into a longer buffer, as the reader hands them out.
      letter(2, 0, new Uint8Array(bytes.buffer, bytes.byteOffset + 60, 40)),
    ];
    const flush = flushOf({ records: 3, deadLetters: letters });
    for (let tries = 0; tries < 2; tries++) await storeFlush(ledger.pool, partitions, flush);
    const where = { shard: 0, incarnation: INCARNATION };
    expect(await deadLetters()).toEqual([
      { ...where, sequence: 1, index: 0, reason: 'undecodable', bytes: bytes.toString('hex') },
      { ...where, sequence: 1, index: 7, reason: 'misrouted', bytes: '' },
      { ...where, sequence: 2, index: 0, reason: 'undecodable', bytes: bytes.toString('hex', 60, 100) },
    ]);
    expect(await shardRow(ledger, 0)).toMatchObject({ records: 3, dead_letters: 3 });
  });

  test('of two incarnations of a stream stand side by side', async () => {
    await addShard(ledger, 0);
    const deadLetters1 = [letter(1, 0, Buffer.from('one'))];
    await storeFlush(ledger.pool, partitions, flushOf({ deadLetters: deadLetters1 }));
    const other = flushOf({ floor: 10, newFloor: 11, incarnation: 'another', deadLetters: deadLetters1 });
    expect(await storeFlush(ledger.pool, partitions, other)).toEqual({ kind: 'stored' });
    expect(await deadLetters()).toHaveLength(2);
  });
});

describe('partitions', () => {
  test('are made for the UTC days that rows fall on, the last and first minute of a day apart', async () => {
    await addShard(ledger, 0);
    const minutes = [
      Date.UTC(2024, 1, 29),
      Date.UTC(2024, 2, 1) - 60_000,
      Date.UTC(2024, 2, 1),
      Date.UTC(1999, 11, 31, 23, 59),
      0,
      -60_000,
    ];
    const rows = minutes.map((minute) => delta('ad', minute, { valid: 1 }));
    await storeFlush(ledger.pool, partitions, flushOf({ rows }));
    expect(await partitionNames()).toEqual([
      'ad_minute_1969_12_31',
      'ad_minute_1970_01_01',
      'ad_minute_1999_12_31',
      'ad_minute_2024_02_29',
      'ad_minute_2024_03_01',
    ]);
    expect((await countedRows(ledger)).map(({ minute }) => minute)).toEqual(
      minutes.toSorted((left, right) => left - right),
    );
  });

  test('of a new day are made once, however many flushers need it at the same moment', async () => {
    const shards = [0, 1, 2, 3, 4, 5];
    for (const shard of shards) await addShard(ledger, shard);
    const days = Array.from({ length: 12 }, (_, day) => MINUTE + day * DAY_MS);
    // Connections that are there already: all flushers are at the same day at the same moment.
    await Promise.all(shards.map(() => ledger.pool.query('select pg_sleep(0.05)')));
    const rows = days.map((minute) => delta('ad', minute, { valid: 1 }));
    const outcomes = await Promise.all(
      shards.map((shard) => storeFlush(ledger.pool, partitionsOf(ledger), flushOf({ shard, rows }))),
    );
    expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true);
    expect(await partitionNames()).toHaveLength(days.length);
    expect((await countedRows(ledger)).map(({ valid }) => valid)).toEqual(days.map(() => shards.length));
  });

  test('are made without waiting for a reader who is in the middle of a long query', async () => {
    await addShard(ledger, 0);
    await storeFlush(ledger.pool, partitions, flushOf({ rows: [delta('ad', MINUTE, COUNTS)] }));
    await inSession(ledger, async (reader) => {
      await reader.query('begin');
      await reader.query('select * from ad_minute');
      const next = flushOf({ floor: 10, newFloor: 20, rows: [delta('ad', MINUTE + DAY_MS, COUNTS)] });
      expect(await storeFlush(ledger.pool, partitions, next)).toEqual({ kind: 'stored' });
      await reader.query('commit');
    });
  });

  test('one dropped behind its back is an error once, and the next try makes it anew', async () => {
    await addShard(ledger, 0);
    await storeFlush(ledger.pool, partitions, flushOf({ rows: [delta('ad', MINUTE, COUNTS)] }));
    await ledger.pool.query('drop table ad_minute_2025_10_01');
    const next = flushOf({ floor: 10, newFloor: 20, rows: [delta('ad', MINUTE, { valid: 1 })] });
    await expect(storeFlush(ledger.pool, partitions, next)).rejects.toThrow('no partition');
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 10 });
    expect(await storeFlush(ledger.pool, partitions, next)).toEqual({ kind: 'stored' });
    expect(await countedRows(ledger)).toMatchObject([{ valid: 1, repeat: 0 }]);
  });

  test('one that was detached is attached again when its day is needed, with what it held', async () => {
    await addShard(ledger, 0);
    await storeFlush(ledger.pool, partitions, flushOf({ rows: [delta('ad', MINUTE, COUNTS)] }));
    const before = await countedRows(ledger);
    await ledger.pool.query('alter table ad_minute detach partition ad_minute_2025_10_01');
    const next = flushOf({ floor: 10, newFloor: 20, rows: [delta('late', MINUTE, { valid: 1 })] });
    await expect(storeFlush(ledger.pool, partitions, next)).rejects.toThrow('no partition');
    expect(await storeFlush(ledger.pool, partitions, next)).toEqual({ kind: 'stored' });
    expect(await countedRows(ledger)).toMatchObject([...before, { valid: 1 }]);
  });

  test('that are known are not asked for again', async () => {
    await partitions.ensure([MINUTE, MINUTE + 60_000]);
    let queries = 0;
    const counting = new DayPartitions({
      query: (...values: Parameters<typeof ledger.pool.query>) => {
        queries += 1;
        return ledger.pool.query(...values);
      },
    } as unknown as typeof ledger.pool);
    await counting.ensure([MINUTE, MINUTE + 60_000, MINUTE + DAY_MS]);
    await counting.ensure([MINUTE, MINUTE + DAY_MS + 60_000]);
    expect(queries).toBe(2);
  });
});
