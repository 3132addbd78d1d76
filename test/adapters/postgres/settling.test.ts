/**
 * I13: what a run has settled changes only with restatements, whatever is flushed beside it; windows that differ are not
 * settled; one of two runs wins.
 */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { closePeriod } from '../../../src/adapters/postgres/billingPeriods.ts';
import { countDrift } from '../../../src/adapters/postgres/countDrift.ts';
import { connectForRecount } from '../../../src/adapters/postgres/pool.ts';
import { RecountSession } from '../../../src/adapters/postgres/recountSession.ts';
import { beginReconcileRun, restate } from '../../../src/adapters/postgres/restate.ts';
import { readArrivals, readSettlement, watchThrough } from '../../../src/adapters/postgres/settlement.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { DeltaRow } from '../../../src/domain/flush.ts';
import type { RecountedWindow } from '../../../src/domain/recount.ts';
import type { RunStepOutcome } from '../../../src/domain/restatement.ts';
import type { SettlingStep } from '../../../src/domain/settlement.ts';
import { emptyCounts } from '../../../src/domain/windowCounts.ts';
import { Random } from '../../support/random.ts';
import {
  addShard,
  adjustedRows,
  asPool,
  countedRows,
  delta,
  emptyLedger,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  restatedRows,
  untilWaiting,
} from './ledger.ts';

const STEP_MS = 60_000;
const NEXT = MINUTE + STEP_MS;
const ALL = { fromMs: undefined, toMs: undefined, adIds: undefined };

let ledger: Ledger;
let recountPool: Pool;

beforeAll(async () => {
  ledger = await openLedger();
  recountPool = connectForRecount(ledger.url, 'test', () => undefined);
  // Two runs at once have a session each.
  recountPool.options.max = 4;
});
afterAll(async () => {
  await recountPool.end();
  await ledger.end();
});
beforeEach(async () => {
  await emptyLedger(ledger);
});

function recounted(adId: string, minute: number, valid: number): RecountedWindow {
  return { adId, minute, counts: { ...emptyCounts(), valid }, late: 0 };
}

interface Run {
  readonly throughMs: number;
  readonly fromMs?: number;
  /** What the streams say, given how far the shards' floors are. */
  readonly truth: (floors: ReadonlyMap<number, number>) => readonly RecountedWindow[];
  /** Happens between looking at the counts and settling. */
  readonly meanwhile?: () => Promise<void>;
  readonly restated?: boolean;
}

interface Settled {
  readonly floors: ReadonlyMap<number, number>;
  readonly differing: number;
  readonly outcome: RunStepOutcome;
}

/** A run from its beginning to its end, as reconcile.ts goes through it. */
async function settle({ throughMs, fromMs, truth, meanwhile, restated = false }: Run): Promise<Settled> {
  const run = await beginReconcileRun(ledger.pool);
  await watchThrough(ledger.pool, throughMs);
  const session = await RecountSession.open(recountPool);
  try {
    const floors = new Map(session.shards.map(({ shard, floor }) => [shard, floor]));
    const windows = truth(floors);
    if (windows.length > 0) await session.add({ windows, rollups: [] });
    const { differing } = await session.compare({ ...ALL, fromMs }, true);
    await meanwhile?.();
    const step: SettlingStep = { run, chunk: 1, throughMs, fromMs, restated };
    return { floors, differing, outcome: await session.settle(step) };
  } finally {
    await session.close();
  }
}

/** A run that restates and settles nothing. */
async function restateTo(truth: readonly RecountedWindow[], fromMs: number | undefined): Promise<void> {
  const run = await beginReconcileRun(ledger.pool);
  const session = await RecountSession.open(recountPool);
  await session.add({ windows: truth, rollups: [] });
  await session.compare({ ...ALL, fromMs }, true);
  for await (const { windows, rollups } of session.differences(10)) {
    const judged = windows.map((difference) => ({ ...difference, ruleSetVersion: 1 }));
    const why = { cause: 'RECONCILE', note: undefined, ranges: [], fromMs } as const;
    const chunk = { run, chunk: 1, differences: judged, rollups, ...why };
    expect(await restate(ledger.pool, partitionsOf(ledger), chunk)).toEqual({ kind: 'done' });
  }
  await session.close();
}

const store = (shard: number, floor: number, rows: readonly DeltaRow[], pool = ledger.pool) =>
  storeFlush(pool, partitionsOf(ledger), flushOf({ shard, floor, newFloor: floor + 1, rows }));

/** A flush whose commit takes so long after all that it reads and writes. */
async function slowly(ms: number, flush: (pool: Pool) => Promise<unknown>): Promise<void> {
  const client = await ledger.pool.connect();
  await client.query('begin');
  expect(await flush(asPool(client))).toEqual({ kind: 'stored' });
  await Bun.sleep(ms);
  await client.query('commit');
  client.release();
}

async function drifting(): Promise<unknown[]> {
  const { rows } = await ledger.pool.query<{ ad_id: string; minute: Date }>(
    'select ad_id, minute from drift where ended_at is null order by ad_id, minute',
  );
  return rows.map(({ ad_id, minute }) => [ad_id, minute.getTime()]);
}

const settledThrough = async () => (await readSettlement(ledger.pool)).settledThroughMs;

describe('a run that settles', () => {
  test('settles what is equal, and writes down when; before it nothing is', async () => {
    await addShard(ledger, 0);
    expect(await readSettlement(ledger.pool)).toEqual({
      watchedThroughMs: -Infinity,
      settledThroughMs: -Infinity,
      closedThroughMs: -Infinity,
    });
    await store(0, 0, [delta('ad', MINUTE, { valid: 1 })]);
    const run = { throughMs: NEXT, truth: () => [recounted('ad', MINUTE, 1)] };
    expect((await settle(run)).outcome).toEqual({ kind: 'done' });
    expect(await readSettlement(ledger.pool)).toEqual({
      watchedThroughMs: NEXT,
      settledThroughMs: NEXT,
      closedThroughMs: -Infinity,
    });
    await settle(run);
    await settle({ ...run, throughMs: MINUTE });
    expect(await settledThrough()).toBe(NEXT);
    const { rows } = await ledger.pool.query('select through, run::float8 from settled');
    expect(rows).toEqual([{ through: new Date(NEXT), run: 1 }]);
  });

  test('keeps windows that differ aside until they are equal again', async () => {
    await addShard(ledger, 0);
    const minutes = [MINUTE, NEXT, NEXT + STEP_MS];
    await store(
      0,
      0,
      minutes.map((minute) => delta('ad', minute, { valid: 2 })),
    );
    const throughMs = NEXT + STEP_MS;
    const wrong = () => minutes.map((minute) => recounted('ad', minute, 1));
    expect(await settle({ throughMs, truth: wrong })).toMatchObject({
      differing: 3,
      outcome: { kind: 'done' },
    });
    // The third is not one of those that the run settles.
    expect(await drifting()).toEqual([
      ['ad', MINUTE],
      ['ad', NEXT],
    ]);
    expect(await settledThrough()).toBe(throughMs);
    const half = () => minutes.map((minute) => recounted('ad', minute, minute === NEXT ? 2 : 1));
    expect(await countDrift(ledger.pool)).toBe(2);
    await settle({ throughMs, truth: half });
    await settle({ throughMs, truth: half });
    expect(await drifting()).toEqual([['ad', MINUTE]]);
    expect(await countDrift(ledger.pool)).toBe(1);
    const { rows } = await ledger.pool.query(
      'select ad_id, minute, run::float8, ended_at is null as open from drift order by minute',
    );
    expect(rows).toMatchObject([
      { minute: new Date(MINUTE), run: 1, open: true },
      { minute: new Date(NEXT), run: 1, open: false },
    ]);
  });

  test('that restates what differs leaves nothing aside but what it cannot decide', async () => {
    await addShard(ledger, 0);
    await store(0, 0, [delta('ad', MINUTE, { valid: 2 })]);
    const truth = () => [recounted('ad', MINUTE, 1)];
    await settle({ throughMs: NEXT, truth, restated: true });
    expect(await drifting()).toEqual([]);
  });

  test('does not find equal what one that begins earlier found to differ', async () => {
    await addShard(ledger, 0);
    await store(0, 0, [delta('ad', NEXT, { valid: 2 })]);
    const throughMs = NEXT + STEP_MS;
    const equal = () => [recounted('ad', NEXT, 2)];
    const differs = () => [recounted('ad', NEXT, 1)];
    // Found by one that begins at the minute, and then by one that begins before it.
    await settle({ throughMs, fromMs: NEXT, truth: differs });
    await settle({ throughMs, fromMs: MINUTE, truth: differs });
    await settle({ throughMs, fromMs: NEXT, truth: equal });
    expect(await drifting()).toEqual([['ad', NEXT]]);
    await settle({ throughMs, truth: differs });
    await settle({ throughMs, fromMs: MINUTE, truth: equal });
    expect(await drifting()).toEqual([['ad', NEXT]]);
    await settle({ throughMs, truth: equal });
    expect(await drifting()).toEqual([]);
  });

  test('finds a window equal as soon as one that begins no later has restated it', async () => {
    await addShard(ledger, 0);
    await store(0, 0, [delta('ad', NEXT, { valid: 3 })]);
    const throughMs = NEXT + STEP_MS;
    await settle({ throughMs, fromMs: MINUTE, truth: () => [recounted('ad', NEXT, 1)] });
    // A repeat of long before the minute looks right to the shorter one.
    await restateTo([recounted('ad', NEXT, 2)], NEXT);
    expect(await drifting()).toEqual([['ad', NEXT]]);
    await restateTo([recounted('ad', NEXT, 1)], MINUTE);
    expect(await drifting()).toEqual([]);
    await settle({ throughMs, truth: () => [recounted('ad', NEXT, 0)] });
    await restateTo([recounted('ad', NEXT, 2)], MINUTE);
    expect(await drifting()).toEqual([['ad', NEXT]]);
    await restateTo([recounted('ad', NEXT, 0)], undefined);
    expect(await drifting()).toEqual([]);
  });

  test('is refused when another one has begun, and has settled nothing then', async () => {
    await addShard(ledger, 0);
    const truth = () => [];
    const other = { throughMs: MINUTE, truth };
    const lost = await settle({ throughMs: NEXT, truth, meanwhile: async () => void (await settle(other)) });
    expect(lost.outcome).toEqual({ kind: 'fenced', found: 'run 2 has begun and is at part 1' });
    expect(await settledThrough()).toBe(MINUTE);
  });

  test('waits for a flush in hand, lets others pass meanwhile, and goes on when it has ended', async () => {
    await addShard(ledger, 0);
    await addShard(ledger, 1);
    await store(0, 0, [delta('ad', MINUTE, { valid: 1 })]);
    await inSession(ledger, async (slow) => {
      await slow.query('begin');
      await slow.query('select from settlement for share');
      const watching = watchThrough(ledger.pool, NEXT);
      await untilWaiting(ledger);
      // Behind the one that waits, but not for longer than it waits at a time.
      expect(await store(1, 0, [delta('ad', MINUTE, { valid: 1 })])).toEqual({ kind: 'stored' });
      expect(await readSettlement(ledger.pool)).toMatchObject({ watchedThroughMs: -Infinity });
      await slow.query('commit');
      await watching;
    });
    expect(await readSettlement(ledger.pool)).toMatchObject({ watchedThroughMs: NEXT });
    expect(await restatedRows(ledger)).toEqual([]);
  });
});

test('a run gets its turn although there is always a flush in hand', async () => {
  let flows = true;
  let flushes = 0;
  const flushers = Array.from({ length: 5 }, async (_, number) => {
    await Bun.sleep(number * 4);
    await inSession(ledger, async (flusher) => {
      for (; flows; flushes++) {
        await flusher.query('begin');
        await flusher.query('select from settlement for share');
        await Bun.sleep(20);
        await flusher.query('commit');
      }
    });
  });
  for (const round of [1, 2, 3]) {
    const before = flushes;
    while (flushes < before + 10) await Bun.sleep(5);
    await watchThrough(ledger.pool, MINUTE + round * STEP_MS);
  }
  flows = false;
  await Promise.all(flushers);
  expect((await readSettlement(ledger.pool)).watchedThroughMs).toBe(MINUTE + 3 * STEP_MS);
});

test('how far the shards have counted is known of each', async () => {
  await addShard(ledger, 0);
  await addShard(ledger, 3);
  await ledger.pool.query('update shard set arrived_through_ms = 1760000000123 where shard = 3');
  expect(await readArrivals(ledger.pool)).toEqual(
    new Map([
      [0, 0],
      [3, 1_760_000_000_123],
    ]),
  );
});

/** What a flush of the race has added, and up to where its shard was counted with it. */
interface Sent {
  readonly shard: number;
  readonly floor: number;
  readonly rows: readonly DeltaRow[];
}

const keyOf = (adId: unknown, minute: unknown) => `${adId} ${minute}`;

function sumOf(sent: readonly Sent[], floors?: ReadonlyMap<number, number>): Map<string, RecountedWindow> {
  const windows = new Map<string, RecountedWindow>();
  for (const { shard, floor, rows } of sent) {
    if (floors !== undefined && floor > (floors.get(shard) ?? 0)) continue;
    for (const { adId, minute, counts } of rows) {
      const window = windows.get(keyOf(adId, minute)) ?? recounted(adId, minute, 0);
      window.counts.valid += counts.valid;
      windows.set(keyOf(adId, minute), window);
    }
  }
  return windows;
}

test.each([1, 2, 3])(
  'whatever is flushed while runs settle, no settled minute changes without a restatement (seed %i)',
  async (seed) => {
    const shards = [0, 1, 2, 3, 4];
    for (const shard of shards) await addShard(ledger, shard);
    await partitionsOf(ledger).ensure([MINUTE]);
    const sent: Sent[] = [];
    let flows = true;
    /** Clicks of the last few minutes, as they come in, some late. */
    let newest = 0;
    const owners = shards.map(async (shard) => {
      const random = new Random(seed * 100 + shard);
      for (let floor = 0; flows; floor++) {
        const windows = new Set(
          Array.from({ length: 6 }, () => `${random.below(3)} ${random.below(newest + 4)}`),
        );
        const rows = [...windows].map((window) => {
          const [ad, step] = window.split(' ');
          return delta(`ad ${ad}`, MINUTE + Number(step) * STEP_MS, { valid: 1 + random.below(9) });
        });
        // Known before it is sent: a run may see it before its answer is here.
        sent.push({ shard, floor: floor + 1, rows });
        await slowly(random.below(8), (pool) => store(shard, floor, rows, pool));
      }
    });
    /** Floors of the moment at which each window was settled. */
    const settledAt = new Map<number, ReadonlyMap<number, number>>();
    let losers = 0;
    for (let round = 1; round <= 12; round++) {
      newest = round * 2;
      const throughMs = MINUTE + round * 2 * STEP_MS;
      const truth = (floors: ReadonlyMap<number, number>) => [...sumOf(sent, floors).values()];
      const runs = round % 4 === 0 ? [1, 2] : [1];
      const settled = await Promise.all(runs.map(() => settle({ throughMs, truth })));
      for (const { differing, outcome, floors } of settled) {
        expect(differing).toBe(0);
        if (outcome.kind === 'fenced') losers += 1;
        else
          for (let ms = MINUTE; ms < throughMs; ms += STEP_MS)
            if (!settledAt.has(ms)) settledAt.set(ms, floors);
      }
      expect(await settledThrough()).toBe(throughMs);
    }
    flows = false;
    await Promise.all(owners);
    expect(losers).toBeGreaterThan(0);

    const { rows: late } = await ledger.pool.query<{
      key: string;
      shard: string;
      through: number;
      delta: number;
    }>(
      `select ad_id || ' ' || (extract(epoch from minute) * 1000)::bigint as key, shard, (range ->> 'through')::float8 as through,
         (after_valid - before_valid)::float8 as delta from restatement, jsonb_each(streams) as stream (shard, range)`,
    );
    const now = new Map(
      (await countedRows(ledger)).map(({ ad_id, minute, valid }) => [keyOf(ad_id, minute), valid]),
    );
    const all = sumOf(sent);
    expect(late.length).toBeGreaterThan(20);
    for (const [key, window] of all) {
      expect(now.get(key)).toBe(window.counts.valid);
      const floors = settledAt.get(window.minute);
      if (floors === undefined) continue;
      const then = sumOf(sent, floors).get(key)?.counts.valid ?? 0;
      const since = late.filter(
        (row) => row.key === key && row.through > (floors.get(Number(row.shard)) ?? 0),
      );
      expect(then + since.reduce((sum, row) => sum + row.delta, 0), key).toBe(window.counts.valid);
    }
    const last = await settle({ throughMs: MINUTE, truth: (floors) => [...sumOf(sent, floors).values()] });
    expect(last).toMatchObject({ differing: 0, outcome: { kind: 'done' } });
    expect(last.floors).toEqual(
      new Map(shards.map((shard) => [shard, sent.filter((one) => one.shard === shard).length])),
    );
  },
);

test('whatever is flushed while periods are closed, final rows stay as they were closed, and nothing is lost', async () => {
  const shards = [0, 1, 2, 3];
  for (const shard of shards) await addShard(ledger, shard);
  const months = [9, 10, 11, 12].map((month) => Date.UTC(2025, month));
  const [first = 0] = months;
  await partitionsOf(ledger).ensure(months.map((ms) => ms - STEP_MS));
  const sent: Sent[] = [];
  let flows = true;
  const owners = shards.map(async (shard) => {
    const random = new Random(700 + shard);
    for (let floor = 0; flows; floor++) {
      const rows = months.map((ms) => delta('ad', ms - STEP_MS, { valid: 1 + random.below(9) }));
      sent.push({ shard, floor: floor + 1, rows });
      await slowly(random.below(8), (pool) => store(shard, floor, rows, pool));
    }
  });
  const final = async (through: number) =>
    (await countedRows(ledger)).filter(({ minute }) => Number(minute) < through);
  let closedRows: unknown[] = [];
  for (const [index, endsMs] of months.entries()) {
    await Bun.sleep(60);
    const truth = (floors: ReadonlyMap<number, number>) => [...sumOf(sent, floors).values()];
    expect(await settle({ throughMs: endsMs, truth })).toMatchObject({
      differing: 0,
      outcome: { kind: 'done' },
    });
    const startsMs = index === 0 ? Date.UTC(2025, 8) : (months[index - 1] ?? 0);
    expect(await closePeriod(ledger.pool, { startsMs, endsMs })).toEqual({ kind: 'closed' });
    expect((await final(startsMs)).slice(0, closedRows.length)).toEqual(closedRows);
    closedRows = await final(endsMs);
  }
  flows = false;
  await Promise.all(owners);
  expect(await final(Infinity)).toEqual(closedRows);
  const sums = new Map(
    closedRows.map((row) => [(row as { minute: number }).minute, Number((row as { valid: number }).valid)]),
  );
  const adjusted = await adjustedRows(ledger);
  for (const { minute, valid } of adjusted)
    sums.set(Number(minute), (sums.get(Number(minute)) ?? 0) + Number(valid));
  expect(adjusted.length).toBeGreaterThan(months.length);
  for (const { minute, counts } of sumOf(sent).values()) expect(sums.get(minute)).toBe(counts.valid);
  // Each restatement goes on where the one before it ended.
  const chain = (await restatedRows(ledger)).filter(({ minute }) => minute === first - STEP_MS);
  const ends = new Set(chain.map(({ after }) => after));
  expect(chain.filter(({ before }) => !ends.has(before))).toHaveLength(1);
  const last = await settle({ throughMs: first, truth: (floors) => [...sumOf(sent, floors).values()] });
  expect(last.differing).toBe(0);
});
