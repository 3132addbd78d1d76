/**
 * Remembered rows of settled minutes: an answer that is asked for after a change has committed never shows what was
 * before it, and those who change at the same time never wait for each other in a circle.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { readAggregates } from '../../../src/adapters/postgres/readAggregates.ts';
import { beginReconcileRun, restate } from '../../../src/adapters/postgres/restate.ts';
import { followSettledChanges } from '../../../src/adapters/postgres/settledChanges.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { systemTimers } from '../../../src/adapters/system/timers.ts';
import type { RollupDifference } from '../../../src/domain/difference.ts';
import type { RestatedDifference } from '../../../src/domain/restatement.ts';
import { type Recall, recallNothing } from '../../../src/domain/settledPart.ts';
import { type RowSource, SettledCache } from '../../../src/query/settledCache.ts';
import { Random } from '../../support/random.ts';
import {
  addShard,
  asPool,
  delta,
  emptyLedger,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
  untilWaiting,
} from './ledger.ts';

const STEP_MS = 60_000;
const DAY_MS = 86_400_000;
const DAYS = 3;
const END = MINUTE + DAYS * DAY_MS;
const SHARDS = 4;
const ADS = ['ad-1', 'ad-2', 'ad-3', 'ad-4', 'ad-5'];
const WRITES = 60;
const READERS = 4;

let ledger: Ledger;
let partitions: DayPartitions;
let floors: number[];

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  partitions = partitionsOf(ledger);
  floors = Array.from({ length: SHARDS }, () => 0);
  for (let shard = 0; shard < SHARDS; shard++) await addShard(ledger, shard);
});

/** A run has settled everything before `throughMs`. */
async function settle(throughMs: number): Promise<void> {
  await setSettlement(ledger, { settled: throughMs });
  await ledger.pool.query('insert into settled (through, run) values ($1, 1)', [new Date(throughMs)]);
}

type Clicks = readonly (readonly [adId: string, minute: number])[];

/** A late flush: a valid click in each of these windows. */
async function flush(shard: number, clicks: Clicks, pool = ledger.pool): Promise<void> {
  const floor = floors[shard] ?? 0;
  const rows = clicks.map(([adId, minute]) => delta(adId, minute, { valid: 1 }));
  const stored = await storeFlush(pool, partitions, flushOf({ shard, floor, newFloor: floor + 1, rows }));
  expect(stored).toEqual({ kind: 'stored' });
  floors[shard] = floor + 1;
}

/** A valid click more. */
function oneMore() {
  const sums = (valid: bigint) => ({
    valid,
    repeat: 0n,
    givt: 0n,
    sivt: 0n,
    defective: 0n,
    test: 0n,
    fingerprintHigh: 0n,
    fingerprintLow: 0n,
  });
  return { before: sums(0n), after: sums(1n) };
}

/** A restatement: a valid click more in each of these windows. */
function correct(clicks: Clicks): Promise<void> {
  const differences = clicks.map<RestatedDifference>(([adId, minute]) => {
    return { adId, minute, ...oneMore(), late: 0, needsLongerReplay: false, ruleSetVersion: 1 };
  });
  return restateOnce(differences, []);
}

async function restateOnce(
  differences: readonly RestatedDifference[],
  rollups: readonly RollupDifference[],
): Promise<void> {
  const run = await beginReconcileRun(ledger.pool);
  const common = { cause: 'RECONCILE', note: undefined, ranges: [], fromMs: undefined } as const;
  const step = { run, chunk: 1, differences, rollups, ...common };
  expect(await restate(ledger.pool, partitions, step)).toEqual({ kind: 'done' });
}

interface Asked {
  readonly adIds: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

async function sumOf({ adIds, fromMs, toMs }: Asked, recall: Recall = recallNothing): Promise<number> {
  const ads = adIds?.map((ad_id) => ({ ad_id, campaign_id: '', advertiser_id: '' }));
  const range = { fromMs, toMs };
  const question = { ads, range, width: 'MINUTE', timeZone: 'UTC', groupBy: ['ad_id'], filters: [] } as const;
  const { rows } = await readAggregates(ledger.pool, question, 10_000, undefined, recall);
  return rows.reduce((sum, { valid }) => sum + valid, 0);
}

function newCache() {
  const found: RowSource[] = [];
  const cache = new SettledCache({ shared: undefined, found: (source) => found.push(source) });
  return { cache, found };
}

const ALL: Asked = { adIds: ADS, fromMs: MINUTE, toMs: END };

describe('a settled answer that is remembered', () => {
  test('is not read again, until a late flush or a restatement changes what it holds', async () => {
    await flush(0, [['ad-1', MINUTE]]);
    await settle(END);
    const { cache, found } = newCache();
    const one: Asked = { adIds: ['ad-1'], fromMs: MINUTE, toMs: MINUTE + DAY_MS };
    expect(await sumOf(one, cache.recall)).toBe(1);
    expect(await sumOf(one, cache.recall)).toBe(1);
    expect(found).toEqual(['database', 'process']);
    await flush(1, [['ad-1', MINUTE + STEP_MS]]);
    expect(await sumOf(one, cache.recall)).toBe(2);
    await correct([['ad-1', MINUTE]]);
    expect(await sumOf(one, cache.recall)).toBe(3);
    expect(found).toEqual(['database', 'process', 'database', 'database']);
  });

  test.each([
    ['an hour of an ad', 'ad_hour', 'ad-1'],
    ['a minute of all ads', 'shard_minute', ''],
  ] as const)('is read again where %s was mended beside its windows', async (_what, rollup, adId) => {
    await flush(0, [['ad-1', MINUTE]]);
    await settle(END);
    const { cache } = newCache();
    const ads = adId === '' ? undefined : [{ ad_id: adId, campaign_id: '', advertiser_id: '' }];
    const range = { fromMs: MINUTE, toMs: END };
    const question = { ads, range, width: 'HOUR', timeZone: 'UTC', groupBy: [], filters: [] } as const;
    const sum = async () => {
      const { rows } = await readAggregates(ledger.pool, question, 100, undefined, cache.recall);
      return rows.reduce((all, { valid }) => all + valid, 0);
    };
    expect([await sum(), await sum()]).toEqual([1, 1]);
    const { before, after } = oneMore();
    const mended = { rollup, adId, startMs: MINUTE, kind: undefined, value: '', value2: '', before, after };
    await restateOnce([], [{ ...mended, besideWindows: false, needsLongerReplay: false }]);
    expect([await sum(), await sum()]).toEqual([2, 2]);
  });

  test('stays where another day or an ad of another slot changes, and where minutes are counted that nobody watches', async () => {
    await settle(MINUTE + 2 * DAY_MS);
    await flush(0, [['ad-1', MINUTE]]);
    const { cache, found } = newCache();
    const one: Asked = { adIds: ['ad-1'], fromMs: MINUTE, toMs: MINUTE + DAY_MS };
    await sumOf(one, cache.recall);
    await flush(0, [['ad-2', MINUTE]]);
    await flush(0, [['ad-1', MINUTE + DAY_MS]]);
    await flush(0, [['ad-1', END - STEP_MS]]);
    await flush(0, [
      ['ad-1', END - STEP_MS],
      ['ad-3', MINUTE],
    ]);
    await sumOf(one, cache.recall);
    expect(found).toEqual(['database', 'process']);
  });

  test('is remembered in part where the range goes on: provisional minutes are read each time', async () => {
    await flush(0, [
      ['ad-1', MINUTE],
      ['ad-1', END],
    ]);
    await settle(MINUTE + 2 * DAY_MS + STEP_MS);
    const { cache, found } = newCache();
    const going: Asked = { adIds: ['ad-1'], fromMs: MINUTE, toMs: END + DAY_MS };
    expect(await sumOf(going, cache.recall)).toBe(2);
    await flush(1, [['ad-1', END]]);
    expect(await sumOf(going, cache.recall)).toBe(3);
    expect(found).toEqual(['database', 'process']);
  });

  test('of an hour that lies in the middle of a day is given up when that hour changes', async () => {
    await settle(END);
    const { cache } = newCache();
    const hour: Asked = { adIds: ['ad-1'], fromMs: MINUTE + 5 * STEP_MS, toMs: MINUTE + 65 * STEP_MS };
    expect(await sumOf(hour, cache.recall)).toBe(0);
    await flush(0, [['ad-1', MINUTE + 10 * STEP_MS]]);
    expect(await sumOf(hour, cache.recall)).toBe(1);
  });

  test('is not remembered where no settling is written down that reaches so far', async () => {
    await setSettlement(ledger, { settled: END });
    const { cache, found } = newCache();
    await sumOf(ALL, cache.recall);
    expect(found).toEqual([]);
  });

  test('is not given in a ledger that was set back and has settled the same minutes anew', async () => {
    const { cache } = newCache();
    await flush(0, [['ad-1', MINUTE]]);
    const settledAgain = async () => {
      await setSettlement(ledger, {});
      await ledger.pool.query('truncate settled, settled_version');
      await settle(END);
    };
    await settle(END);
    expect(await sumOf(ALL, cache.recall)).toBe(1);
    // As it was before the settling; what came late then comes in time now, and raises no word.
    await setSettlement(ledger, {});
    await flush(0, [['ad-1', MINUTE]]);
    await settledAgain();
    expect(await sumOf(ALL, cache.recall)).toBe(2);
    // As it was before a restatement; then another one, the first of its day again.
    await correct([['ad-1', MINUTE]]);
    expect(await sumOf(ALL, cache.recall)).toBe(3);
    await ledger.pool.query('truncate settled_version');
    await ledger.pool.query('update ad_minute set valid = valid - 1');
    await correct([['ad-1', MINUTE]]);
    await correct([['ad-1', MINUTE]]);
    expect(await sumOf(ALL, cache.recall)).toBe(4);
  });

  // Readers are held up between all that they read; writers commit meanwhile. With few ads nearly all of it meets.
  test.each([1, 2, 3, 4])(
    'never shows what was before a change that has committed (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      await settle(END);
      const caches = [newCache(), newCache()];
      let begun = 0;
      let committed = 0;
      let isOver = false;
      const window = () =>
        [
          random.pick(ADS),
          MINUTE + random.below(DAYS * 24) * 60 * STEP_MS + random.below(3) * STEP_MS,
        ] as const;
      const windows = (): Clicks => {
        const clicks = new Map(Array.from({ length: 3 }, window).map((click) => [click.join(' '), click]));
        return [...clicks.values()];
      };
      const write = async () => {
        for (let done = 0; done < WRITES; done++) {
          const clicks = windows();
          begun += clicks.length;
          await (random.chance(0.5) ? flush(random.below(SHARDS), clicks) : correct(clicks));
          committed += clicks.length;
          await Bun.sleep(random.below(6));
        }
        isOver = true;
      };
      const readAll = async () => {
        while (!isOver) {
          const { cache } = random.pick(caches);
          const late: Recall = async (part, read) => {
            await Bun.sleep(random.below(8));
            return cache.recall(part, async () => {
              await Bun.sleep(random.below(8));
              const rows = await read();
              await Bun.sleep(random.below(8));
              return rows;
            });
          };
          const least = committed;
          const sum = await sumOf(ALL, late);
          expect(sum).toBeGreaterThanOrEqual(least);
          expect(sum).toBeLessThanOrEqual(begun);
        }
      };
      await Promise.all([write(), ...Array.from({ length: READERS }, readAll)]);
      for (const { cache, found } of caches) {
        expect(await sumOf(ALL, cache.recall)).toBe(begun);
        expect(await sumOf(ALL)).toBe(begun);
        expect(found).toContain('database');
      }
      const given = caches.flatMap(({ found }) => found.filter((source) => source !== 'database'));
      expect(given.length).toBeGreaterThan(0);
    },
  );
});

describe('who remembers', () => {
  test('is told of each day and slot with the commit, by any statement, also after the connection was lost', async () => {
    await settle(END);
    const told: string[] = [];
    const troubles: unknown[] = [];
    const stop = new AbortController();
    const following = followSettledChanges(
      {
        url: ledger.url,
        name: 'test',
        changed: (dayMs, slot) => told.push(`${dayMs} ${slot}`),
        onError: (error) => troubles.push(error),
        timers: systemTimers,
      },
      stop.signal,
    );
    const sessions = async (what: string) => {
      const { rows } = await ledger.pool.query(
        `select ${what} from pg_stat_activity where datname = current_database() and application_name = 'test changes'
           and query like 'listen%' and state = 'idle'`,
      );
      return rows.length;
    };
    await expect.poll(() => sessions('pid'), { timeout: 10_000 }).toBe(1);
    await inSession(ledger, async (client) => {
      await client.query('begin');
      await flush(0, [['ad-1', MINUTE]], asPool(client));
      await Bun.sleep(50);
      expect(told).toEqual([]);
      await client.query('commit');
    });
    const { rows } = await ledger.pool.query('select slot from settled_version');
    await expect.poll(() => told).toEqual([`${MINUTE} ${rows[0].slot}`]);
    await sessions('pg_terminate_backend(pid)');
    await expect.poll(() => troubles.length).toBe(1);
    await expect.poll(() => sessions('pid'), { timeout: 10_000 }).toBe(1);
    await correct([['ad-1', MINUTE + DAY_MS]]);
    await expect.poll(() => told.at(-1)).toBe(`${MINUTE + DAY_MS} ${rows[0].slot}`);
    stop.abort();
    await following;
    expect(await sessions('pid')).toBe(0);
  });
});

describe('those who change settled minutes', () => {
  test('wait for each other before they touch a count, and see what the other has done', async () => {
    await settle(END);
    await inSession(ledger, async (client) => {
      await client.query('begin');
      await flush(0, [['ad-1', MINUTE]], asPool(client));
      const other = flush(1, [['ad-1', MINUTE + STEP_MS]]);
      await untilWaiting(ledger);
      await client.query('commit');
      await other;
    });
    expect(await sumOf(ALL)).toBe(2);
  });

  test('never wait in a circle: late flushes of all shards and a run, over the same ads and days', async () => {
    await settle(END);
    const random = new Random(7);
    /** Windows of the same ads and days, in any order; some of them of several at once. */
    const shuffled = (): Clicks =>
      ADS.flatMap((adId) =>
        Array.from({ length: DAYS }, (_, day) => {
          return [adId, MINUTE + day * DAY_MS + random.below(50) * STEP_MS] as const;
        }),
      )
        .map((click) => [random.next(), click] as const)
        .sort(([left], [right]) => left - right)
        .map(([, click]) => click);
    const ROUNDS = 25;
    const over = async (work: () => Promise<void>) => {
      for (let round = 0; round < ROUNDS; round++) await work();
    };
    await Promise.all([
      ...floors.map((_, shard) => over(() => flush(shard, shuffled()))),
      over(() => correct(shuffled())),
    ]);
    expect(await sumOf(ALL)).toBe((SHARDS + 1) * ROUNDS * ADS.length * DAYS);
  });
});
