/** Who works on which shard: claims, heartbeats, leases and giving back (I8, I9, I16). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimShards } from '../../../src/adapters/postgres/claimShards.ts';
import { releaseShards } from '../../../src/adapters/postgres/releaseShards.ts';
import { renewLeases } from '../../../src/adapters/postgres/renewLeases.ts';
import { asPool, emptyLedger, inSession, type Ledger, openLedger, shardRow, untilWaiting } from './ledger.ts';

const LONG_MS = 3_600_000;

let ledger: Ledger;
beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => emptyLedger(ledger));

/** A random word for each shard of a claim. */
const word = (shard: number) => `00000000-0000-4000-8000-${String(shard).padStart(12, '0')}`;

const shards = (...numbers: number[]) =>
  numbers.map((shard) => ({ shard, incarnation: `incarnation of ${shard}`, claim: word(shard) }));

const claim = (owner: string, numbers: number[], leaseMs = LONG_MS) =>
  claimShards(ledger.pool, owner, shards(...numbers), leaseMs);

const numbersOf = (checkpoints: readonly { shard: number }[]) =>
  checkpoints.map(({ shard }) => shard).sort((left, right) => left - right);

const beat = (shard: number, changes: object = {}) => ({
  shard,
  epoch: 1,
  claim: word(shard),
  floor: 0,
  flushingTo: 0,
  arrivedThroughMs: 0,
  ...changes,
});

async function expireLeases(): Promise<void> {
  await ledger.pool.query(`update shard set lease_until = clock_timestamp() - interval '1 millisecond'`);
}

describe('a claim', () => {
  test('gives new shards a row at floor 0, with the incarnation of their stream', async () => {
    const checkpoints = await claim('one', [3, 1]);
    const fresh = { epoch: 1, floor: 0, streamTimeMs: 0, arrivedThroughMs: 0 };
    expect(checkpoints.toSorted((left, right) => left.shard - right.shard)).toEqual([
      { shard: 1, incarnation: 'incarnation of 1', claim: word(1), ...fresh },
      { shard: 3, incarnation: 'incarnation of 3', claim: word(3), ...fresh },
    ]);
  });

  test('hands over the checkpoint of the owner before, under the next epoch', async () => {
    await claim('one', [0]);
    await ledger.pool.query(
      'update shard set floor = 77, stream_time_ms = 1760000000123, arrived_through_ms = 1760000000456',
    );
    await releaseShards(ledger.pool, 'one');
    // The stream was made anew meanwhile: the row keeps the incarnation that was counted, so the owner can tell.
    const [checkpoint] = await claimShards(
      ledger.pool,
      'two',
      [{ shard: 0, incarnation: 'made anew', claim: word(7) }],
      LONG_MS,
    );
    expect(checkpoint).toEqual({
      shard: 0,
      incarnation: 'incarnation of 0',
      epoch: 2,
      claim: word(7),
      floor: 77,
      streamTimeMs: 1_760_000_000_123,
      arrivedThroughMs: 1_760_000_000_456,
    });
  });

  test('leaves a shard alone while its lease runs, and takes it when the lease has run out', async () => {
    await claim('one', [0, 1]);
    expect(await claim('two', [0, 1, 2])).toMatchObject([{ shard: 2, epoch: 1 }]);
    await expireLeases();
    expect(numbersOf(await claim('two', [0, 1]))).toEqual([0, 1]);
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: 'two', epoch: 2 });
  });

  test('by the same owner, as after a crash and restart, is given at once under the next epoch', async () => {
    await claim('one', [0]);
    expect(await claim('one', [0])).toMatchObject([{ shard: 0, epoch: 2 }]);
    expect(await claim('one', [0])).toMatchObject([{ shard: 0, epoch: 3 }]);
  });

  test('takes nothing that was not asked for, and nothing at all where nothing is', async () => {
    await claim('one', [0, 1]);
    await releaseShards(ledger.pool, 'one');
    expect(numbersOf(await claim('two', [1]))).toEqual([1]);
    expect(await claim('two', [])).toEqual([]);
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: null, epoch: 1 });
  });

  test('its lease ends when it says: not before, and not much after', async () => {
    await claim('one', [0], 60_000);
    const { rows } = await ledger.pool.query<{ seconds: number }>(
      'select extract(epoch from lease_until - clock_timestamp())::float8 as seconds from shard',
    );
    expect(rows[0]?.seconds).toBeGreaterThan(30);
    expect(rows[0]?.seconds).toBeLessThanOrEqual(60);
  });

  test('of two at once on all shards: each shard goes to one of them, under one epoch', async () => {
    const all = Array.from({ length: 40 }, (_, shard) => shard);
    const [one, two] = await Promise.all([claim('one', all), claim('two', all.toReversed())]);
    const given = [...numbersOf(one), ...numbersOf(two)].sort((left, right) => left - right);
    expect(given).toEqual(all);
    expect([...one, ...two].every(({ epoch }) => epoch === 1)).toBe(true);
  });

  test('that waits behind another one does not take what the other one took', async () => {
    await claim('gone', [0, 1]);
    await expireLeases();
    await inSession(ledger, async (first) => {
      await first.query('begin');
      await claimShards(asPool(first), 'one', shards(0), LONG_MS);
      const second = claim('two', [0, 1]);
      await untilWaiting(ledger);
      await first.query('commit');
      expect(await second).toMatchObject([{ shard: 1, epoch: 2 }]);
    });
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: 'one', epoch: 2 });
  });
});

describe('a heartbeat', () => {
  test('holds the shards against others, moves arrived_through forward and never back', async () => {
    await claim('one', [0, 1]);
    await expireLeases();
    const beats = [beat(0, { arrivedThroughMs: 500.7 }), beat(1)];
    expect(await renewLeases(ledger.pool, beats, LONG_MS)).toEqual(new Set([0, 1]));
    expect(await claim('two', [0, 1])).toEqual([]);
    expect(await shardRow(ledger, 0)).toMatchObject({ arrived: 500 });
    await renewLeases(ledger.pool, [beat(0, { arrivedThroughMs: 400 })], LONG_MS);
    expect(await shardRow(ledger, 0)).toMatchObject({ arrived: 500 });
  });

  test('of an owner whose lease ran out, but whose shard nobody took, holds it again', async () => {
    await claim('one', [0], 1);
    await expireLeases();
    expect(await renewLeases(ledger.pool, [beat(0)], LONG_MS)).toEqual(new Set([0]));
    expect(await claim('two', [0])).toEqual([]);
  });

  test.each([
    ['a newer epoch: somebody took it over', 'epoch = 2'],
    ['an older epoch: the ledger was restored', 'epoch = 0'],
    ['another claim: the ledger gave the epoch out twice', `claim = '${word(9)}'`],
    ['another floor: the ledger was restored', 'floor = 3'],
  ])('does not name a shard with %s, and renews nothing', async (_what, change) => {
    await claim('one', [0, 1]);
    await expireLeases();
    await ledger.pool.query(`update shard set ${change} where shard = 0`);
    const beats = [beat(0, { arrivedThroughMs: 900 }), beat(1)];
    expect(await renewLeases(ledger.pool, beats, LONG_MS)).toEqual(new Set([1]));
    expect(await shardRow(ledger, 0)).toMatchObject({ arrived: 0 });
    expect(numbersOf(await claim('two', [0, 1]))).toEqual([0]);
  });

  test('during a flush holds the shard before and after the floor has moved, nowhere else', async () => {
    await claim('one', [0]);
    const flushing = beat(0, { floor: 5, flushingTo: 9 });
    for (const [floor, held] of [
      [5, true],
      [9, true],
      [7, false],
      [10, false],
    ] as const) {
      await ledger.pool.query('update shard set floor = $1', [floor]);
      expect((await renewLeases(ledger.pool, [flushing], LONG_MS)).has(0), `floor ${floor}`).toBe(held);
    }
  });

  test('without shards is no trouble', async () => {
    expect(await renewLeases(ledger.pool, [], LONG_MS)).toEqual(new Set());
  });
});

describe('giving back', () => {
  test('frees all shards of this owner at once and no others, and keeps their rows', async () => {
    await claim('one', [0, 1]);
    await claim('two', [2]);
    await releaseShards(ledger.pool, 'one');
    expect(numbersOf(await claim('three', [0, 1, 2]))).toEqual([0, 1]);
    expect(await shardRow(ledger, 2)).toMatchObject({ owner: 'two', epoch: 1 });
  });

  test('a heartbeat of the owner that gave a shard back does not keep others from it', async () => {
    await claim('one', [0]);
    await releaseShards(ledger.pool, 'one');
    expect(numbersOf(await claim('two', [0]))).toEqual([0]);
    expect(await renewLeases(ledger.pool, [beat(0)], LONG_MS)).toEqual(new Set());
  });
});
