/** A recount beside the counts of the same moment, and restatements that take effect once, for one run (I8, I10, I13). */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connectForRecount } from '../../../src/adapters/postgres/pool.ts';
import { RecountSession } from '../../../src/adapters/postgres/recountSession.ts';
import { beginReconcileRun, restate } from '../../../src/adapters/postgres/restate.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { WindowDifference } from '../../../src/domain/difference.ts';
import type { DeltaRow } from '../../../src/domain/flush.ts';
import type { RecountedWindow, WindowSelection } from '../../../src/domain/recount.ts';
import type { RestatedDifference, RestatementChunk } from '../../../src/domain/restatement.ts';
import { emptyCounts, type WindowCounts } from '../../../src/domain/windowCounts.ts';
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
  untilWaiting,
} from './ledger.ts';

const STEP_MS = 60_000;
const ALL: WindowSelection = { fromMs: undefined, toMs: undefined, adIds: undefined };

let ledger: Ledger;
let recountPool: Pool;

beforeAll(async () => {
  ledger = await openLedger();
  recountPool = connectForRecount(ledger.url, 'test', () => undefined);
});
afterAll(async () => {
  await recountPool.end();
  await ledger.end();
});
beforeEach(() => emptyLedger(ledger));

let floor = 0;

/** Counts as an owner stores them. */
async function stored(...rows: DeltaRow[]): Promise<void> {
  const { rowCount } = await ledger.pool.query('select from shard where shard = 0');
  if (rowCount === 0) {
    floor = 0;
    await addShard(ledger, 0);
  }
  const flush = flushOf({ floor, newFloor: floor + 10, rows, records: 7 });
  expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
  floor += 10;
}

function recounted(adId: string, minute: number, counts: Partial<WindowCounts>, late = 0): RecountedWindow {
  return { adId, minute, counts: { ...emptyCounts(), ...counts }, late };
}

async function withSession<T>(use: (session: RecountSession) => Promise<T>): Promise<T> {
  const session = await RecountSession.open(recountPool);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

async function found(session: RecountSession, most = 100): Promise<WindowDifference[]> {
  const differences: WindowDifference[] = [];
  for await (const { windows, rollups } of session.differences(most)) {
    expect(windows.length + rollups.length).toBeLessThanOrEqual(most);
    differences.push(...windows);
  }
  return differences;
}

function compared(windows: readonly RecountedWindow[], selection = ALL) {
  return withSession(async (session) => {
    await session.add({ windows, rollups: [] });
    return { sums: await session.compare(selection, true), differences: await found(session) };
  });
}

function totals(counts: Partial<Record<keyof WindowCounts, bigint>>): WindowDifference['before'] {
  const zeros = Object.fromEntries(Object.keys(emptyCounts()).map((name) => [name, 0n]));
  return { ...zeros, ...counts } as WindowDifference['before'];
}

describe('a recount', () => {
  test('sees checkpoints and counts of the moment at which it began, whatever is flushed meanwhile', async () => {
    await stored(delta('ad', MINUTE, { valid: 1 }));
    await withSession(async (session) => {
      await stored(delta('ad', MINUTE, { valid: 1 }), delta('new', MINUTE, { valid: 1 }));
      await session.add({ windows: [recounted('ad', MINUTE, { valid: 1 })], rollups: [] });
      expect(await session.compare(ALL, true)).toMatchObject({ windows: 1, late: 0, differing: 0 });
      expect(session.shards).toEqual([
        { shard: 0, incarnation: INCARNATION, floor: 10, records: 7, deadLetters: 0 },
      ]);
    });
  });

  test('adds up what comes in portions', async () => {
    await stored(delta('ad', MINUTE, { valid: 3, repeat: 2, fingerprintHigh: 5, fingerprintLow: 2 ** 52 }));
    await withSession(async (session) => {
      await session.add({
        windows: [recounted('ad', MINUTE, { valid: 2, fingerprintHigh: 5, fingerprintLow: 2 ** 51 })],
        rollups: [],
      });
      await session.add({
        windows: [recounted('ad', MINUTE, { valid: 1, repeat: 2, fingerprintLow: 2 ** 51 }, 3)],
        rollups: [],
      });
      expect(await session.compare(ALL, true)).toMatchObject({ windows: 1, late: 3, differing: 0 });
    });
  });

  test.each(Object.keys(emptyCounts()) as (keyof WindowCounts)[])(
    'finds a window that differs in %s only',
    async (name) => {
      const equal = { valid: 9, repeat: 9, givt: 9, sivt: 9, defective: 9, test: 9, fingerprintHigh: 9 };
      const counts = { ...equal, fingerprintLow: 9 };
      await stored(delta('ad', MINUTE, { ...counts, [name]: 8 }), delta('other', MINUTE, counts));
      const { sums, differences } = await compared([
        recounted('ad', MINUTE, counts),
        recounted('other', MINUTE, counts),
      ]);
      expect(sums).toMatchObject({ windows: 2, late: 0, differing: 1 });
      const nines = totals(Object.fromEntries(Object.keys(counts).map((each) => [each, 9n])));
      expect(differences).toEqual([
        {
          adId: 'ad',
          minute: MINUTE,
          before: { ...nines, [name]: 8n },
          after: nines,
          late: 0,
          needsLongerReplay: false,
        },
      ]);
    },
  );

  test('takes a window that is on one side only as zeros on the other, in the order of the keys', async () => {
    await stored(
      delta('b', MINUTE, { valid: 1 }),
      delta('empty', MINUTE, {}),
      delta('B', MINUTE, { test: 2 }),
    );
    const { differences } = await compared([
      recounted('a', MINUTE + STEP_MS, { repeat: 1 }),
      recounted('a', MINUTE, { valid: 4 }),
      recounted('late only', MINUTE, {}, 1),
    ]);
    expect(differences.map(({ adId, minute, before, after }) => [adId, minute, before, after])).toEqual([
      ['B', MINUTE, totals({ test: 2n }), totals({})],
      ['a', MINUTE, totals({}), totals({ valid: 4n })],
      ['a', MINUTE + STEP_MS, totals({}), totals({ repeat: 1n })],
      ['b', MINUTE, totals({ valid: 1n }), totals({})],
    ]);
  });

  test('compares only the minutes and ads that are asked for', async () => {
    const rows = ['a', 'b'].flatMap((ad) =>
      [-1, 0, 1, 2].map((step) => delta(ad, MINUTE + step * STEP_MS, { valid: 1 })),
    );
    await stored(...rows);
    const range = { fromMs: MINUTE, toMs: MINUTE + 2 * STEP_MS };
    expect((await compared([], { ...range, adIds: undefined })).sums.windows).toBe(4);
    const { differences } = await compared([], { ...range, adIds: new Set(['b', 'c']) });
    expect(differences.map(({ adId, minute }) => [adId, minute])).toEqual([
      ['b', MINUTE],
      ['b', MINUTE + STEP_MS],
    ]);
  });

  test('whose session breaks while it waits for the replay says so at its next step, and not before', async () => {
    await withSession(async (session) => {
      await ledger.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test recount' and datname = current_database()`,
      );
      await Bun.sleep(50);
      await expect(
        session.add({ windows: [recounted('ad', MINUTE, { valid: 1 })], rollups: [] }),
      ).rejects.toThrow(
        'broke in the middle: terminating connection due to administrator command. Run it again',
      );
    });
  });

  test('hands differences out in portions, each once, also of wrong counts beyond 2^53', async () => {
    const minutes = [0, 1, 2, 3, 4].map((step) => MINUTE + step * STEP_MS);
    await stored(...minutes.map((minute) => delta('ad', minute, { valid: 1 })));
    await ledger.pool.query(`update ad_minute set valid = 9223372036854775807 where minute = $1`, [
      new Date(MINUTE),
    ]);
    await withSession(async (session) => {
      await session.compare(ALL, true);
      const differences = await found(session, 2);
      expect(differences.map(({ minute }) => minute)).toEqual(minutes);
      expect(differences[0]?.before.valid).toBe(2n ** 63n - 1n);
    });
  });
});

describe('a recount of a closed period', () => {
  test('is held against final rows and adjustments together, also where there is only an adjustment', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }), delta('left', MINUTE, { valid: 1 }));
    await setSettlement(ledger, { closed: MINUTE + STEP_MS });
    await stored(delta('ad', MINUTE, { valid: 2 }), delta('new', MINUTE, { valid: 3 }));
    await setSettlement(ledger, { closed: MINUTE + 2 * STEP_MS });
    await stored(delta('ad', MINUTE, { valid: 4 }));
    const right = [
      recounted('ad', MINUTE, { valid: 11 }),
      recounted('left', MINUTE, { valid: 1 }),
      recounted('new', MINUTE, { valid: 3 }),
    ];
    expect((await compared(right)).sums).toMatchObject({ windows: 3, differing: 0 });
    const { differences } = await compared(right.slice(1, 2), { ...ALL, toMs: MINUTE + STEP_MS });
    expect(differences.map(({ adId, before }) => [adId, before.valid])).toEqual([
      ['ad', 11n],
      ['new', 3n],
    ]);
    expect((await compared([], { ...ALL, fromMs: MINUTE + STEP_MS })).sums.windows).toBe(0);
  });
});

describe('a restatement', () => {
  const RANGE = { shard: 4, incarnation: INCARNATION, fromSequence: 3, throughSequence: 90 };
  const difference = (
    adId: string,
    before: WindowDifference['before'],
    after: WindowDifference['after'],
    late = 0,
  ): RestatedDifference => ({
    adId,
    minute: MINUTE,
    before,
    after,
    late,
    needsLongerReplay: false,
    ruleSetVersion: 1,
  });

  const ONE_LESS = difference('ad', totals({ valid: 5n }), totals({ valid: 4n, repeat: 1n }), 1);

  function chunkOf(run: number, changes: Partial<RestatementChunk> = {}): RestatementChunk {
    const common = {
      cause: 'RECONCILE',
      note: undefined,
      ranges: [RANGE],
      fromMs: undefined,
    } as const;
    return { run, chunk: 1, differences: [ONE_LESS], rollups: [], ...common, ...changes };
  }

  const apply = (chunk: RestatementChunk, pool = ledger.pool) => restate(pool, partitionsOf(ledger), chunk);

  async function restatements(): Promise<Record<string, unknown>[]> {
    const { rows } = await ledger.pool.query(
      `select run::float8, ad_id, cause, before_valid::float8, after_valid::float8, after_repeat::float8, late::float8,
         rule_set_version, streams, range_from from restatement order by id`,
    );
    return rows;
  }

  const counts = async (adId = 'ad') =>
    (await countedRows(ledger))
      .filter(({ ad_id }) => ad_id === adId)
      .map(({ valid, repeat }) => [valid, repeat]);

  test('adds the difference to whatever is there by now, and says why and of what', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    await stored(delta('ad', MINUTE, { valid: 10 }));
    expect(await apply(chunkOf(run))).toEqual({ kind: 'done' });
    expect(await counts()).toEqual([[14, 1]]);
    expect(await restatements()).toEqual([
      {
        run,
        ad_id: 'ad',
        cause: 'RECONCILE',
        before_valid: 5,
        after_valid: 4,
        after_repeat: 1,
        late: 1,
        rule_set_version: 1,
        streams: { 4: { incarnation: INCARNATION, from: 3, through: 90 } },
        range_from: null,
      },
    ]);
  });

  test('makes the row, and the partition of its day, where they are missing', async () => {
    const run = await beginReconcileRun(ledger.pool);
    const missing = difference('new', totals({}), totals({ valid: 2n, fingerprintHigh: 7n }));
    expect(await apply(chunkOf(run, { differences: [missing] }))).toEqual({ kind: 'done' });
    expect(await counts('new')).toEqual([[2, 0]]);
    expect((await countedRows(ledger))[0]?.['high']).toBe(7);
  });

  test('that is sent again after a lost answer takes effect once', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    for (let time = 0; time < 3; time++) expect(await apply(chunkOf(run))).toEqual({ kind: 'done' });
    expect(await apply(chunkOf(run, { chunk: 2, differences: [] }))).toEqual({ kind: 'done' });
    expect(await counts()).toEqual([[4, 1]]);
    expect(await restatements()).toHaveLength(1);
  });

  test('that is sent again while the first try still waits takes effect once', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    await inSession(ledger, async (blocker) => {
      await blocker.query('begin');
      await blocker.query('select from ad_minute for update');
      const tries = [apply(chunkOf(run)), apply(chunkOf(run))];
      await untilWaiting(ledger, 2);
      await blocker.query('commit');
      expect(await Promise.all(tries)).toEqual([{ kind: 'done' }, { kind: 'done' }]);
    });
    expect(await counts()).toEqual([[4, 1]]);
    expect(await restatements()).toHaveLength(1);
  });

  test('of a run before the last is refused, in the middle too', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const [first, second] = [await beginReconcileRun(ledger.pool), await beginReconcileRun(ledger.pool)];
    expect(await apply(chunkOf(first))).toEqual({
      kind: 'fenced',
      found: `run ${second} has begun and is at part 0`,
    });
    expect(await apply(chunkOf(second))).toEqual({ kind: 'done' });
    expect(await apply(chunkOf(first, { chunk: 2 }))).toMatchObject({ kind: 'fenced' });
    expect(await apply(chunkOf(second, { chunk: 3 }))).toMatchObject({ kind: 'fenced' });
    expect(await counts()).toEqual([[4, 1]]);
    expect((await restatements()).map((row) => row['run'])).toEqual([second]);
  });

  test('in hand while another run begins is seen by that run whole', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    await inSession(ledger, async (zombie) => {
      await zombie.query('begin');
      expect(await apply(chunkOf(run), asPool(zombie))).toEqual({ kind: 'done' });
      const next = beginReconcileRun(ledger.pool);
      await untilWaiting(ledger);
      await zombie.query('commit');
      expect(await next).toBe(run + 1);
    });
    const { differences } = await compared([recounted('ad', MINUTE, { valid: 4, repeat: 1 })]);
    expect(differences).toEqual([]);
  });

  test('is of the cause that it is given, with the words of who decided it, and raises the revision', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    await apply(chunkOf(run));
    const next = await beginReconcileRun(ledger.pool);
    await apply(chunkOf(next, { cause: 'MANUAL', note: 'agreed with finance' }));
    expect(await restatedRows(ledger)).toMatchObject([
      { cause: 'RECONCILE', note: null, revision: 1, booked_in: null },
      { cause: 'MANUAL', note: 'agreed with finance', revision: 2, booked_in: null },
    ]);
  });

  test('of a final window is an adjustment of the open period: the row does not move, others do', async () => {
    const other = MINUTE + STEP_MS;
    await stored(delta('ad', MINUTE, { valid: 5 }), delta('ad', other, { valid: 5 }));
    await setSettlement(ledger, { closed: other });
    const run = await beginReconcileRun(ledger.pool);
    const differences = [ONE_LESS, { ...ONE_LESS, minute: other }];
    expect(await apply(chunkOf(run, { differences }))).toEqual({ kind: 'done' });
    expect(await counts()).toEqual([
      [5, 0],
      [4, 1],
    ]);
    expect(await adjustedRows(ledger)).toMatchObject([
      { minute: MINUTE, booked_in: other, valid: -1, repeat: 1 },
    ]);
    expect(await restatedRows(ledger)).toMatchObject([
      { minute: MINUTE, before: 5, after: 4, revision: null, booked_in: other },
      { minute: other, before: 5, after: 4, revision: 1, booked_in: null },
    ]);
    const { sums } = await compared([
      recounted('ad', MINUTE, { valid: 4, repeat: 1 }),
      recounted('ad', other, { valid: 4, repeat: 1 }),
    ]);
    expect(sums).toMatchObject({ windows: 2, differing: 0 });
  });

  test('that waits while a period is closed is booked in the period that is open then', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }));
    const run = await beginReconcileRun(ledger.pool);
    await inSession(ledger, async (closer) => {
      await closer.query('begin');
      await setSettlement({ pool: asPool(closer) }, { closed: MINUTE + STEP_MS });
      const waiting = apply(chunkOf(run));
      await untilWaiting(ledger);
      await closer.query('commit');
      expect(await waiting).toEqual({ kind: 'done' });
    });
    expect(await counts()).toEqual([[5, 0]]);
    expect(await adjustedRows(ledger)).toMatchObject([{ valid: -1, booked_in: MINUTE + STEP_MS }]);
  });

  test('of late repeats is not taken back by a recount that begins later', async () => {
    await stored(delta('ad', MINUTE, { valid: 5 }), delta('other', MINUTE, { valid: 1 }));
    const run = await beginReconcileRun(ledger.pool);
    await apply(chunkOf(run, { fromMs: MINUTE - STEP_MS }));
    const windows = [recounted('ad', MINUTE, { valid: 5 }), recounted('other', MINUTE, { valid: 2 })];
    const needs = async (fromMs: number | undefined) => {
      const { differences } = await compared(windows, { fromMs, toMs: undefined, adIds: undefined });
      return differences.map(({ adId, needsLongerReplay }) => [adId, needsLongerReplay]);
    };
    expect(await needs(MINUTE)).toEqual([
      ['ad', true],
      ['other', false],
    ]);
    for (const fromMs of [MINUTE - STEP_MS, undefined])
      expect(await needs(fromMs)).toEqual([
        ['ad', false],
        ['other', false],
      ]);
  });
});
