/** A rollup's total is the total of its minutes, whoever flushed what when; and where it is not, that is found. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ShardCounts } from '../../../src/actors/shardCounts.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { NO_DIMENSIONS } from '../../../src/domain/dimensions.ts';
import { factsOf, uuid7At } from '../../support/clicks.ts';
import { Random } from '../../support/random.ts';
import { wrongRollups } from '../../support/rollupCheck.ts';
import {
  addShard,
  emptyLedger,
  flushOf,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
} from './ledger.ts';

const STEP_MS = 60_000;
const SHARDS = [0, 1, 2];
const ROUNDS = 8;
const CLICKS = 60;

let ledger: Ledger;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => emptyLedger(ledger));

/** Owners of the same ads flush side by side, tell some flushes twice, and minutes become settled and final meanwhile. */
async function flushSome(random: Random): Promise<number> {
  const partitions = partitionsOf(ledger);
  let clicks = 0;
  for (const shard of SHARDS) await addShard(ledger, shard);
  for (let round = 0; round < ROUNDS; round++) {
    const at = (minutes: number) => MINUTE + minutes * STEP_MS;
    if (round === ROUNDS / 2) await setSettlement(ledger, { watched: at(0) });
    if (round === ROUNDS - 2) await setSettlement(ledger, { watched: at(20), closed: at(-60) });
    await Promise.all(
      SHARDS.map(async (shard) => {
        const counts = new ShardCounts();
        for (let click = 0; click < CLICKS; click++)
          count(counts, random, at(random.below(240) - 120), uuid7At(MINUTE, clicks++));
        const flush = flushOf({
          shard,
          floor: round,
          newFloor: round + 1,
          ...counts.beginFlush(),
        });
        for (let tries = 1 + random.below(2); tries > 0; tries--)
          expect(await storeFlush(ledger.pool, partitions, flush)).toEqual({ kind: 'stored' });
      }),
    );
  }
  return clicks;
}

function count(counts: ShardCounts, random: Random, minute: number, clickId: Uint8Array): void {
  const facts = factsOf({ adId: `ad ${random.below(5)}`, clickId });
  const dimensions = random.chance(0.3)
    ? NO_DIMENSIONS
    : {
        ...NO_DIMENSIONS,
        country: random.pick(['', 'DE', 'FR']),
        device_type: random.pick(['', 'mobile']),
        publisher_id: random.pick(['', 'paper']),
        os: random.pick(['', 'Linux']),
      };
  const click = {
    facts,
    record: { dimensions, person: undefined },
    judgement: { kind: 'billable' as const },
    minute,
  };
  counts.count({ clicks: [click], deadLetters: [] }, random.pick(['V', 'R']));
}

async function total(text: string): Promise<number> {
  const { rows } = await ledger.pool.query<{ total: number }>(`select (${text})::integer as total`);
  return rows[0]?.total ?? Number.NaN;
}

test('many flushes leave every rollup the sum of its minutes', async () => {
  const clicks = await flushSome(new Random(19));
  expect(await wrongRollups(ledger.pool)).toEqual([]);
  const sum = (table: string) => `(select sum(valid + repeat) from ${table})`;
  expect(await total(`${sum('ad_minute')} + ${sum('adjustment')}`)).toBe(clicks);
  expect(await total(`${sum('ad_minute')} - ${sum('ad_day')}`)).toBe(0);
  // Not for want of any.
  expect(await total(sum('adjustment'))).toBeGreaterThan(0);
  expect(await total('select sum(revision) from ad_minute')).toBeGreaterThan(0);
});

test.each([
  ['ad_hour', /^ad_hour ad \d /],
  ['ad_day', /^ad_day ad \d /],
  ['shard_minute', /^shard_minute 2025/],
  ['shard_dimension', /^shard_dimension \d 2025/],
  ['ad_dimension', /^(shard|ad)_dimension /],
])('a wrong row of %s is found', async (table, found) => {
  await flushSome(new Random(20));
  const row = `(tableoid, ctid) = (select tableoid, ctid from ${table} where valid > 0 limit 1)`;
  await ledger.pool.query(`update ${table} set valid = valid + 1000 where ${row}`);
  const wrong = await wrongRollups(ledger.pool);
  expect(wrong.length).toBeGreaterThan(0);
  for (const one of wrong) expect(one).toMatch(found);
});
