/** I13: what a flush changes of a watched minute stands in a restatement of the same transaction; a final row never moves. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { Flush } from '../../../src/domain/flush.ts';
import type { WindowCounts } from '../../../src/domain/windowCounts.ts';
import {
  addShard,
  adjustedRows,
  asPool,
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
  restatedRows,
  setSettlement,
  shardRow,
  untilWaiting,
} from './ledger.ts';

const STEP_MS = 60_000;
const NEXT = MINUTE + STEP_MS;
const COUNTS: WindowCounts = {
  valid: 1,
  repeat: 2,
  givt: 3,
  sivt: 4,
  defective: 5,
  test: 6,
  fingerprintHigh: 2 ** 51,
  fingerprintLow: 8,
};
const COLUMNS = [
  'valid',
  'repeat',
  'givt',
  'sivt',
  'defective',
  'test',
  'fingerprint_high',
  'fingerprint_low',
] as const;

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

const store = (changes: Partial<Flush>, pool = ledger.pool) => storeFlush(pool, partitions, flushOf(changes));
const STORED = { kind: 'stored' };

/** Everything of a row that PostgreSQL keeps, where it stands and who wrote it. */
async function physicalRows(): Promise<unknown[]> {
  const { rows } = await ledger.pool.query(
    'select tableoid, ctid, xmin, * from ad_minute order by ad_id, minute',
  );
  return rows;
}

async function bothSides(): Promise<Record<string, unknown>[]> {
  const sides = ['before', 'after'].flatMap((side) => COLUMNS.map((column) => `${side}_${column}::float8`));
  const { rows } = await ledger.pool.query(
    `select ${sides.join(', ')}, late::float8, rule_set_version, streams from restatement order by id`,
  );
  return rows;
}

const side = (name: 'before' | 'after', times: number) =>
  Object.fromEntries(
    COLUMNS.map((column, index) => [`${name}_${column}`, (Object.values(COUNTS)[index] ?? 0) * times]),
  );

describe('a flush with a watched minute', () => {
  test('adds to its row, raises the revision, and writes down what was and what is', async () => {
    await store({ rows: [delta('ad', MINUTE, COUNTS), delta('ad', NEXT, COUNTS)] });
    await setSettlement(ledger, { watched: NEXT });
    const rows = [delta('ad', MINUTE, COUNTS), delta('ad', NEXT, COUNTS), delta('new', MINUTE, { valid: 7 })];
    const late = { floor: 10, newFloor: 15, records: 50, ruleSetVersions: [3, 1, 4], rows };
    expect(await store(late)).toEqual(STORED);
    const { rows: revisions } = await ledger.pool.query(
      'select ad_id, minute, valid::float8, revision from ad_minute order by ad_id, minute',
    );
    expect(revisions).toEqual([
      { ad_id: 'ad', minute: new Date(MINUTE), valid: 2, revision: 1 },
      { ad_id: 'ad', minute: new Date(NEXT), valid: 2, revision: 0 },
      { ad_id: 'new', minute: new Date(MINUTE), valid: 7, revision: 1 },
    ]);
    const common = { cause: 'LATE', run: null, minute: MINUTE, revision: 1, booked_in: null, note: null };
    expect((await restatedRows(ledger)).toSorted(byAd)).toEqual([
      { ...common, ad_id: 'ad', before: 1, after: 2 },
      { ...common, ad_id: 'new', before: 0, after: 7 },
    ]);
    expect((await bothSides())[0]).toEqual({
      ...side('before', 1),
      ...side('after', 2),
      late: 0,
      rule_set_version: 3,
      streams: { 0: { incarnation: INCARNATION, from: 11, through: 15 } },
    });
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 15, records: 50 });
  });

  test('repeated after its answer was lost is restated once', async () => {
    await setSettlement(ledger, { watched: NEXT });
    for (let tries = 0; tries < 3; tries++)
      expect(await store({ rows: [delta('ad', MINUTE, COUNTS)] })).toEqual(STORED);
    expect(await restatedRows(ledger)).toHaveLength(1);
    expect(await countedRows(ledger)).toMatchObject([{ valid: 1 }]);
  });

  test('of an owner that is fenced leaves no trace', async () => {
    await setSettlement(ledger, { watched: NEXT, settled: MINUTE, closed: MINUTE });
    const rows = [delta('ad', MINUTE - STEP_MS, COUNTS), delta('ad', MINUTE, COUNTS)];
    expect(await store({ epoch: 9, rows })).toMatchObject({ kind: 'fenced' });
    expect([await restatedRows(ledger), await adjustedRows(ledger), await countedRows(ledger)]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test('that fails half way leaves neither counts nor a restatement', async () => {
    await setSettlement(ledger, { watched: NEXT });
    const twice = [delta('ad', MINUTE, COUNTS), delta('ad', MINUTE, COUNTS)];
    await expect(store({ rows: twice })).rejects.toThrow('a second time');
    expect([await restatedRows(ledger), await countedRows(ledger)]).toEqual([[], []]);
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 0 });
  });
});

describe('a flush with a minute of a closed period', () => {
  test('books an adjustment of the open period, and the final row does not move by a bit', async () => {
    await store({ rows: [delta('ad', MINUTE, COUNTS)] });
    await setSettlement(ledger, { closed: NEXT });
    const before = await physicalRows();
    for (const round of [1, 2]) {
      const rows = [delta('ad', MINUTE, COUNTS), delta('none', MINUTE, { valid: 2 })];
      expect(await store({ floor: 10 * round, newFloor: 10 * round + 10, rows })).toEqual(STORED);
    }
    expect(await physicalRows()).toEqual(before);
    const { valid, repeat, givt, sivt, defective, test: tests, fingerprintHigh, fingerprintLow } = COUNTS;
    const once = {
      valid,
      repeat,
      givt,
      sivt,
      defective,
      test: tests,
      high: fingerprintHigh,
      low: fingerprintLow,
    };
    const twice = Object.fromEntries(Object.entries(once).map(([name, count]) => [name, 2 * count]));
    const [adjusted, none] = await adjustedRows(ledger);
    expect(adjusted).toEqual({ ad_id: 'ad', minute: MINUTE, booked_in: NEXT, ...twice });
    expect(none).toMatchObject({ ad_id: 'none', minute: MINUTE, booked_in: NEXT, valid: 4 });
    const common = { cause: 'LATE', run: null, minute: MINUTE, revision: null, booked_in: NEXT, note: null };
    expect((await restatedRows(ledger)).toSorted(byAd)).toEqual([
      { ...common, ad_id: 'ad', before: 1, after: 2 },
      { ...common, ad_id: 'ad', before: 2, after: 3 },
      { ...common, ad_id: 'none', before: 0, after: 2 },
      { ...common, ad_id: 'none', before: 2, after: 4 },
    ]);
    expect((await bothSides()).find((row) => row['after_test'] === 18)).toMatchObject({
      ...side('before', 2),
      ...side('after', 3),
    });
  });

  test('counts what was booked in earlier periods when it says what was', async () => {
    await store({ rows: [delta('ad', MINUTE, COUNTS)] });
    await setSettlement(ledger, { closed: NEXT });
    await store({ floor: 10, newFloor: 20, rows: [delta('ad', MINUTE, { valid: 5 })] });
    const later = NEXT + STEP_MS;
    await setSettlement(ledger, { closed: later });
    await store({ floor: 20, newFloor: 30, rows: [delta('ad', MINUTE, { valid: 10 })] });
    expect(await adjustedRows(ledger)).toMatchObject([
      { booked_in: NEXT, valid: 5 },
      { booked_in: later, valid: 10 },
    ]);
    expect((await restatedRows(ledger)).at(-1)).toMatchObject({ before: 6, after: 16, booked_in: later });
  });

  test('splits at each border: closed, watched, open', async () => {
    await setSettlement(ledger, { watched: NEXT + STEP_MS, settled: NEXT, closed: NEXT });
    const rows = [0, 1, 2].map((step) => delta('ad', MINUTE + step * STEP_MS, { valid: 1 }));
    expect(await store({ rows })).toEqual(STORED);
    expect(await adjustedRows(ledger)).toMatchObject([{ minute: MINUTE }]);
    expect((await countedRows(ledger)).map(({ minute }) => minute)).toEqual([NEXT, NEXT + STEP_MS]);
    expect((await restatedRows(ledger)).map(({ minute, revision }) => [minute, revision])).toEqual([
      [MINUTE, null],
      [NEXT, 1],
    ]);
  });
});

describe('a flush that waits while somebody settles or closes', () => {
  /** What `change` does is held open while the flush comes, and committed then. */
  async function during(change: Parameters<typeof setSettlement>[1], flush: Partial<Flush>): Promise<void> {
    await partitions.ensure([MINUTE, NEXT]);
    await inSession(ledger, async (settler) => {
      await settler.query('begin');
      await setSettlement({ pool: asPool(settler) }, change);
      const waiting = store(flush);
      await untilWaiting(ledger);
      await settler.query('commit');
      expect(await waiting).toEqual(STORED);
    });
  }

  test('knows that its minute is watched by then', async () => {
    await during({ watched: NEXT }, { rows: [delta('ad', MINUTE, COUNTS)] });
    expect(await restatedRows(ledger)).toMatchObject([{ ad_id: 'ad', before: 0, after: 1, revision: 1 }]);
  });

  test('knows that its minute is final by then', async () => {
    await store({ rows: [delta('ad', MINUTE, COUNTS)] });
    await during({ closed: NEXT }, { floor: 10, newFloor: 20, rows: [delta('ad', MINUTE, COUNTS)] });
    expect(await countedRows(ledger)).toMatchObject([{ valid: 1 }]);
    expect(await adjustedRows(ledger)).toMatchObject([{ valid: 1, booked_in: NEXT }]);
  });

  test('knows, too, what others have counted of a final minute before it was closed', async () => {
    await addShard(ledger, 1);
    await setSettlement(ledger, { watched: NEXT });
    await partitions.ensure([MINUTE]);
    await inSession(ledger, async (other) => {
      await other.query('begin');
      // The statement of late clicks waits for its shard's row, with a view of the counts from before all that follows.
      await other.query('select from shard where shard = 0 for update');
      const waiting = store({ rows: [delta('ad', MINUTE, { valid: 1 })] });
      await untilWaiting(ledger);
      expect(await store({ shard: 1, rows: [delta('ad', MINUTE, { valid: 100 })] })).toEqual(STORED);
      await other.query('commit');
      expect(await waiting).toEqual(STORED);
    });
    expect((await restatedRows(ledger)).map(({ before, after }) => [before, after])).toEqual([
      [0, 100],
      [100, 101],
    ]);
  });

  test('reads the counts again where a period was closed while it looked', async () => {
    await setSettlement(ledger, { watched: NEXT });
    await partitions.ensure([MINUTE]);
    let looks = 0;
    await inSession(ledger, async (settler) => {
      const query = async (statement: { name?: string; text: string }, values: unknown[]) => {
        if (statement.name !== undefined) return ledger.pool.query(statement, values);
        looks += 1;
        if (looks > 1) return ledger.pool.query(statement, values);
        await settler.query('begin');
        await settler.query('select from settlement for update');
        const answer = ledger.pool.query(statement, values);
        await untilWaiting(ledger);
        // What the waiting statement does not see any more: counts of another shard, and the closing after them.
        const minute = new Date(MINUTE);
        await settler.query(`insert into ad_minute values ('ad', $1, 100, 0, 0, 0, 0, 0, 0, 0)`, [minute]);
        await setSettlement({ pool: asPool(settler) }, { closed: NEXT });
        await settler.query('commit');
        return answer;
      };
      const pool = { query } as unknown as typeof ledger.pool;
      expect(await store({ rows: [delta('ad', MINUTE, { valid: 1 })] }, pool)).toEqual(STORED);
    });
    expect(looks).toBe(2);
    expect(await restatedRows(ledger)).toMatchObject([{ before: 100, after: 101, booked_in: NEXT }]);
  });
});

test('flushes of late clicks of many owners at once on the same rows lose nothing, and each says what was before it', async () => {
  const shards = [1, 2, 3, 4, 5, 6];
  for (const shard of shards) await addShard(ledger, shard);
  await setSettlement(ledger, { watched: NEXT + STEP_MS, settled: NEXT, closed: NEXT });
  const rows = Array.from({ length: 60 }, (_, index) =>
    delta(`ad ${index % 20}`, MINUTE + Math.floor(index / 20) * STEP_MS, { valid: 1 }),
  );
  for (let round = 0; round < 5; round++) {
    const outcomes = await Promise.all(
      shards.map((shard) =>
        store({ shard, floor: round, newFloor: round + 1, rows: shard % 2 === 0 ? rows : rows.toReversed() }),
      ),
    );
    expect(outcomes).toEqual(shards.map(() => STORED));
  }
  expect(new Set((await countedRows(ledger)).map(({ valid }) => valid))).toEqual(new Set([30]));
  expect(new Set((await adjustedRows(ledger)).map(({ valid }) => valid))).toEqual(new Set([30]));
  const chains = new Map<string, unknown[]>();
  for (const { ad_id, minute, before } of await restatedRows(ledger)) {
    const key = `${ad_id} ${minute}`;
    chains.set(key, [...(chains.get(key) ?? []), before]);
  }
  expect(chains.size).toBe(40);
  const upTo30 = Array.from({ length: 30 }, (_, count) => count);
  for (const befores of chains.values()) expect(befores.map(Number).sort((a, b) => a - b)).toEqual(upTo30);
});

function byAd(left: Record<string, unknown>, right: Record<string, unknown>): number {
  return String(left['ad_id']) < String(right['ad_id']) ? -1 : 1;
}
