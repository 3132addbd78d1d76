/** I10: a flush adds the same delta to the minutes and to every rollup of them, or to none. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { RollupKind, RollupRow } from '../../../src/domain/dimensions.ts';
import type { Flush } from '../../../src/domain/flush.ts';
import { type DispositionCounts, emptyDispositions } from '../../../src/domain/windowCounts.ts';
import {
  addShard,
  delta,
  emptyLedger,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
  shardRow,
} from './ledger.ts';

const STEP_MS = 60_000;
const QUARTER_MS = 15 * STEP_MS;
const HOUR_MS = 60 * STEP_MS;
const DAY_MS = 24 * HOUR_MS;
const COUNTS = { valid: 1, repeat: 2, givt: 3, sivt: 4, defective: 5, test: 6 };
const STORED = { kind: 'stored' };

let ledger: Ledger;
let partitions: DayPartitions;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  partitions = partitionsOf(ledger);
  await addShard(ledger, 0);
});

const store = (changes: Partial<Flush>) => storeFlush(ledger.pool, partitions, flushOf(changes));

function rollup(
  adId: string,
  [kind, value, value2 = '']: readonly [kind: RollupKind, value: string, value2?: string],
  quarter: number,
  counts: Partial<DispositionCounts>,
): RollupRow {
  return { adId, kind, quarter, value, value2, ...emptyDispositions(), ...counts };
}

const COUNTED = Object.keys(COUNTS).map((column) => `${column}::float8`);

/** All rows of a rollup, by its key; times in milliseconds. */
async function rowsOf(table: string, time: string, key: string): Promise<unknown[]> {
  const { rows } = await ledger.pool.query(
    `select ${key}, (extract(epoch from ${time}) * 1000)::float8 as at, ${COUNTED.join(', ')}
     from ${table} order by ${key}, at`,
  );
  return rows;
}

const hours = () => rowsOf('ad_hour', 'hour', 'ad_id');
const days = () => rowsOf('ad_day', 'day', 'ad_id');
const shardMinutes = () => rowsOf('shard_minute', 'minute', 'shard');
const dimensions = () => rowsOf('ad_dimension', 'quarter', 'ad_id, kind, value, value2');
const shardDimensions = () => rowsOf('shard_dimension', 'quarter', 'shard, kind, value, value2');

async function everything(): Promise<unknown[]> {
  return [await hours(), await days(), await shardMinutes(), await dimensions(), await shardDimensions()];
}

const times = (factor: number) =>
  Object.fromEntries(Object.entries(COUNTS).map(([name, count]) => [name, count * factor]));

describe('a flush', () => {
  test('adds each minute to its hour, its day and the minute of its shard', async () => {
    await addShard(ledger, 1);
    const rows = [
      delta('ad', MINUTE, COUNTS),
      delta('ad', MINUTE + STEP_MS, COUNTS),
      delta('ad', MINUTE + HOUR_MS, COUNTS),
      delta('ad', MINUTE - STEP_MS, COUNTS),
      delta('other', MINUTE, COUNTS),
    ];
    await store({ rows });
    await store({ rows, floor: 10, newFloor: 20 });
    await store({ rows: rows.slice(0, 1), shard: 1 });
    expect(await hours()).toEqual([
      { ad_id: 'ad', at: MINUTE - HOUR_MS, ...times(2) },
      { ad_id: 'ad', at: MINUTE, ...times(5) },
      { ad_id: 'ad', at: MINUTE + HOUR_MS, ...times(2) },
      { ad_id: 'other', at: MINUTE, ...times(2) },
    ]);
    expect(await days()).toEqual([
      { ad_id: 'ad', at: MINUTE - DAY_MS, ...times(2) },
      { ad_id: 'ad', at: MINUTE, ...times(7) },
      { ad_id: 'other', at: MINUTE, ...times(2) },
    ]);
    expect(await shardMinutes()).toEqual([
      { shard: 0, at: MINUTE - STEP_MS, ...times(2) },
      { shard: 0, at: MINUTE, ...times(4) },
      { shard: 0, at: MINUTE + STEP_MS, ...times(2) },
      { shard: 0, at: MINUTE + HOUR_MS, ...times(2) },
      { shard: 1, at: MINUTE, ...times(1) },
    ]);
  });

  test('adds the rows of each kind to the ad and to all ads of its shard', async () => {
    await addShard(ledger, 1);
    const rollups = [
      rollup('ad', [1, 'DE', 'mobile'], MINUTE, COUNTS),
      rollup('ad', [1, 'DE'], MINUTE, COUNTS),
      rollup('ad', [4, 'a"b\\{,} NULL'], MINUTE + QUARTER_MS, COUNTS),
      rollup('other', [1, 'DE', 'mobile'], MINUTE, COUNTS),
    ];
    const rows = [delta('ad', MINUTE, COUNTS)];
    await store({ rows, rollups });
    await store({ rows, rollups, floor: 10, newFloor: 20 });
    await store({ rows, rollups: rollups.slice(0, 1), shard: 1 });
    expect(await dimensions()).toEqual([
      { ad_id: 'ad', kind: 1, value: 'DE', value2: '', at: MINUTE, ...times(2) },
      { ad_id: 'ad', kind: 1, value: 'DE', value2: 'mobile', at: MINUTE, ...times(3) },
      { ad_id: 'ad', kind: 4, value: 'a"b\\{,} NULL', value2: '', at: MINUTE + QUARTER_MS, ...times(2) },
      { ad_id: 'other', kind: 1, value: 'DE', value2: 'mobile', at: MINUTE, ...times(2) },
    ]);
    expect(await shardDimensions()).toEqual([
      { shard: 0, kind: 1, value: 'DE', value2: '', at: MINUTE, ...times(2) },
      { shard: 0, kind: 1, value: 'DE', value2: 'mobile', at: MINUTE, ...times(4) },
      { shard: 0, kind: 4, value: 'a"b\\{,} NULL', value2: '', at: MINUTE + QUARTER_MS, ...times(2) },
      { shard: 1, kind: 1, value: 'DE', value2: 'mobile', at: MINUTE, ...times(1) },
    ]);
  });

  const one: Partial<Flush> = {
    rows: [delta('ad', MINUTE, COUNTS)],
    rollups: [rollup('ad', [3, 'Bayern'], MINUTE, COUNTS)],
  };

  test('repeated after its answer was lost adds to no rollup a second time', async () => {
    await store(one);
    const stored = await everything();
    for (let tries = 0; tries < 2; tries++) expect(await store(one)).toEqual(STORED);
    expect(await everything()).toEqual(stored);
  });

  test('that is fenced adds to no rollup', async () => {
    expect(await store({ ...one, epoch: 2 })).toMatchObject({ kind: 'fenced' });
    expect(await everything()).toEqual([[], [], [], [], []]);
  });

  test('with a row of which no value is known is an error: nothing of it is stored', async () => {
    await expect(store({ ...one, rollups: [rollup('ad', [1, ''], MINUTE, COUNTS)] })).rejects.toThrow(
      'check',
    );
    expect(await everything()).toEqual([[], [], [], [], []]);
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 0 });
  });
});

describe('a flush of settled minutes', () => {
  const NEXT = MINUTE + STEP_MS;

  test('moves every rollup as any other', async () => {
    const rows = [
      delta('ad', MINUTE, COUNTS),
      delta('ad', NEXT, COUNTS),
      delta('ad', NEXT + STEP_MS, COUNTS),
    ];
    const rollups = [rollup('ad', [3, 'Bayern'], MINUTE, COUNTS)];
    await store({ rows, rollups });
    await setSettlement(ledger, { watched: NEXT + STEP_MS });
    expect(await store({ rows, rollups, floor: 10, newFloor: 20 })).toEqual(STORED);
    expect(await hours()).toEqual([{ ad_id: 'ad', at: MINUTE, ...times(6) }]);
    expect(await days()).toEqual([{ ad_id: 'ad', at: MINUTE, ...times(6) }]);
    expect(await shardMinutes()).toMatchObject([{ valid: 2 }, { valid: 2 }, { valid: 2 }]);
    expect(await dimensions()).toMatchObject([{ value: 'Bayern', ...times(2) }]);
    expect(await shardDimensions()).toMatchObject([{ value: 'Bayern', ...times(2) }]);
  });

  test('adds nothing of final minutes to any rollup', async () => {
    const before = MINUTE - STEP_MS;
    const rows = [delta('ad', before, COUNTS), delta('ad', MINUTE, COUNTS)];
    const rollups = [
      rollup('ad', [3, 'Bayern'], MINUTE - QUARTER_MS, COUNTS),
      rollup('ad', [3, 'Bayern'], MINUTE, COUNTS),
    ];
    await store({ rows, rollups });
    await setSettlement(ledger, { closed: MINUTE, watched: NEXT });
    expect(await store({ rows, rollups, floor: 10, newFloor: 20 })).toEqual(STORED);
    expect(await hours()).toMatchObject([
      { at: MINUTE - HOUR_MS, ...times(1) },
      { at: MINUTE, ...times(2) },
    ]);
    expect(await days()).toMatchObject([
      { at: MINUTE - DAY_MS, ...times(1) },
      { at: MINUTE, ...times(2) },
    ]);
    expect(await shardMinutes()).toMatchObject([{ valid: 1 }, { valid: 2 }]);
    expect(await dimensions()).toMatchObject([
      { at: MINUTE - QUARTER_MS, valid: 1 },
      { at: MINUTE, valid: 2 },
    ]);
    expect(await shardDimensions()).toMatchObject([{ valid: 1 }, { valid: 2 }]);
  });
});

describe('owners of the same hot ads', () => {
  /** Prime, so that each shard comes to all of them. */
  const ADS = 41;
  const SHARDS = [0, 1, 2, 3];
  const ROUNDS = 12;
  const LATER = MINUTE + 7 * DAY_MS;

  interface Sharing {
    /** How far the minutes of one shard are from those of the next. */
    readonly apartMs: number;
    /** Which shards have a settled minute, too, of an ad of their own. */
    readonly late: readonly number[];
  }

  /** In an order of the shard's own. */
  function hotFlush(shard: number, round: number, { apartMs, late }: Sharing): Flush {
    const ads = Array.from({ length: ADS }, (_, number) => `ad ${(number * (2 * shard + 1)) % ADS}`);
    const minute = LATER + shard * apartMs;
    const rows = ads.map((adId) => delta(adId, minute, { valid: 1 }));
    if (late.includes(shard)) rows.push(delta(`own ${shard}`, MINUTE, { valid: 1 }));
    const rollups = ads.flatMap((adId) =>
      ['DE', 'FR', 'US'].map((country) => rollup(adId, [1, country, 'mobile'], LATER, { valid: 1 })),
    );
    const turned = shard % 2 === 0;
    return flushOf({
      shard,
      floor: round,
      newFloor: round + 1,
      rows: turned ? rows.toReversed() : rows,
      rollups: turned ? rollups : rollups.toReversed(),
    });
  }

  async function deadlocks(): Promise<number> {
    // What a session has seen is told when it ends.
    const { rows } = await inSession(ledger, (client) =>
      client.query<{ deadlocks: number }>(
        'select deadlocks::integer from pg_stat_database where datname = current_database()',
      ),
    );
    return rows[0]?.deadlocks ?? Number.NaN;
  }

  test.each([
    ['flushes of one minute', { apartMs: 0, late: [] }],
    ['flushes of one hour', { apartMs: STEP_MS, late: [] }],
    ['flushes of dimensions alone', { apartMs: DAY_MS, late: [] }],
    ['late flushes of one hour', { apartMs: STEP_MS, late: SHARDS }],
    ['flushes and late ones of one hour', { apartMs: STEP_MS, late: [0, 1] }],
  ])('never wait for each other in a circle: %s', async (_what, sharing) => {
    for (const shard of SHARDS.slice(1)) await addShard(ledger, shard);
    await setSettlement(ledger, { watched: MINUTE + STEP_MS });
    await partitions.ensure([LATER]);
    const before = await deadlocks();
    for (let round = 0; round < ROUNDS; round++) {
      const outcomes = await Promise.all(
        SHARDS.map((shard) => storeFlush(ledger.pool, partitions, hotFlush(shard, round, sharing))),
      );
      expect(outcomes).toEqual(SHARDS.map(() => STORED));
    }
    expect(await deadlocks()).toBe(before);
    const { rows } = await ledger.pool.query(
      `select (select sum(valid)::integer from ad_hour where ad_id like 'ad %') as hours,
         (select sum(valid)::integer from ad_dimension) as dimensions`,
    );
    const clicks = ADS * SHARDS.length * ROUNDS;
    expect(rows).toEqual([{ hours: clicks, dimensions: clicks * 3 }]);
  });
});
