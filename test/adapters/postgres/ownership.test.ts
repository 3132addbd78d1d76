/** Who works on which shard: claims, heartbeats, leases and giving back (I8, I9, I16). */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { beatNode } from '../../../src/adapters/postgres/beatNode.ts';
import { claimShards } from '../../../src/adapters/postgres/claimShards.ts';
import { connectForHeartbeats } from '../../../src/adapters/postgres/pool.ts';
import { releaseShard } from '../../../src/adapters/postgres/releaseShard.ts';
import type { Heartbeat } from '../../../src/domain/checkpoint.ts';
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
  numbers.map((shard) => ({
    shard,
    incarnation: `incarnation of ${shard}`,
    claim: word(shard),
    onlyTakeOver: false,
  }));

const claim = (owner: string, numbers: number[], leaseMs = LONG_MS) =>
  claimShards(ledger.pool, owner, shards(...numbers), numbers.length, leaseMs);

/** What owner `one` holds after its heartbeat. */
const renew = async (beats: readonly Heartbeat[]) =>
  (await beatNode(ledger.pool, 'one', true, beats, LONG_MS)).held;

/** Gives back what was claimed for the first time. */
const release = (...numbers: number[]) =>
  Promise.all(numbers.map((shard) => releaseShard(ledger.pool, { shard, epoch: 1, claim: word(shard) })));

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
    await release(0);
    // The stream was made anew meanwhile: the row keeps the incarnation that was counted, so the owner can tell.
    const [checkpoint] = await claimShards(
      ledger.pool,
      'two',
      [{ shard: 0, incarnation: 'made anew', claim: word(7), onlyTakeOver: false }],
      1,
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
    await release(0, 1);
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
    const all = Array.from({ length: 1_000 }, (_, shard) => shard);
    const [one, two] = await Promise.all([claim('one', all), claim('two', all.toReversed())]);
    const given = [...numbersOf(one), ...numbersOf(two)].sort((left, right) => left - right);
    expect(given).toEqual(all);
    expect([...one, ...two].every(({ epoch }) => epoch === 1)).toBe(true);
  });

  test('of shards that nobody has seen waits for another one of them in order, never in a circle', async () => {
    await inSession(ledger, async (first) => {
      const add = (shard: number) =>
        first.query('insert into shard (shard, incarnation) values ($1, $2)', [shard, 'x']);
      await first.query('begin');
      await add(0);
      const second = claim('two', [1, 0]);
      await untilWaiting(ledger);
      await add(1);
      await first.query('commit');
      expect(numbersOf(await second)).toEqual([0, 1]);
    });
  });

  test('waits for nobody: a shard that another claim or a flush holds at this moment is left alone', async () => {
    await claim('gone', [0, 1]);
    await expireLeases();
    await inSession(ledger, async (first) => {
      await first.query('begin');
      await claimShards(asPool(first), 'one', shards(0), 1, LONG_MS);
      expect(await claim('two', [0, 1])).toMatchObject([{ shard: 1, epoch: 2 }]);
      await first.query('commit');
    });
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: 'one', epoch: 2 });
  });

  test('takes at most so many, those with its own name first', async () => {
    await claim('two', [4]);
    await claim('one', [0, 3]);
    await expireLeases();
    const take = (most: number) => claimShards(ledger.pool, 'two', shards(0, 1, 2, 3, 4), most, LONG_MS);
    expect(numbersOf(await take(2))).toEqual([0, 4]);
    // Under its own name once more, as after a crash: what it has comes first.
    expect(numbersOf(await take(3))).toEqual([0, 1, 4]);
    expect(await take(0)).toEqual([]);
  });

  test('of a shard that failed here takes it only from another owner whose lease has run out', async () => {
    const failed = (owner: string) =>
      claimShards(
        ledger.pool,
        owner,
        shards(0, 1, 2).map((wanted) => ({ ...wanted, onlyTakeOver: true })),
        3,
        LONG_MS,
      );
    await claim('one', [0]);
    await claim('two', [1]);
    expect(await failed('one')).toEqual([]);
    await expireLeases();
    expect(numbersOf(await failed('one'))).toEqual([1]);
    expect(await shardRow(ledger, 2)).toMatchObject({ owner: null, epoch: 0 });
  });
});

describe('a heartbeat', () => {
  test('holds the shards against others, moves arrived_through forward and never back', async () => {
    await claim('one', [0, 1]);
    await expireLeases();
    const beats = [beat(0, { arrivedThroughMs: 500.7 }), beat(1)];
    expect(await renew(beats)).toEqual(new Set([0, 1]));
    expect(await claim('two', [0, 1])).toEqual([]);
    expect(await shardRow(ledger, 0)).toMatchObject({ arrived: 500 });
    await renew([beat(0, { arrivedThroughMs: 400 })]);
    expect(await shardRow(ledger, 0)).toMatchObject({ arrived: 500 });
  });

  test('of an owner whose lease ran out, but whose shard nobody took, holds it again', async () => {
    await claim('one', [0], 1);
    await expireLeases();
    expect(await renew([beat(0)])).toEqual(new Set([0]));
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
    expect(await renew(beats)).toEqual(new Set([1]));
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
      expect((await renew([flushing])).has(0), `floor ${floor}`).toBe(held);
    }
  });

  test('without shards is no trouble', async () => {
    expect(await renew([])).toEqual(new Set());
  });
});

describe('the nodes that live', () => {
  const beatOf = (node: string, lives = true, leaseMs = LONG_MS) =>
    beatNode(ledger.pool, node, lives, [], leaseMs);

  test('are those whose leases run, the one that asks among them, until they leave', async () => {
    expect((await beatOf('b')).nodes).toEqual(['b']);
    expect((await beatOf('a')).nodes.toSorted()).toEqual(['a', 'b']);
    expect((await beatOf('b')).nodes.toSorted()).toEqual(['a', 'b']);
    expect((await beatOf('a', false)).nodes).toEqual(['b']);
    expect((await beatOf('b')).nodes).toEqual(['b']);
    // One that leaves twice, or was never there.
    expect((await beatOf('a', false)).nodes).toEqual(['b']);
    await ledger.pool.query(`update actor_node set lease_until = clock_timestamp() - interval '1 ms'`);
    expect((await beatOf('c')).nodes).toEqual(['c']);
    expect((await beatOf('b')).nodes.toSorted()).toEqual(['b', 'c']);
  });

  test('are not remembered for ever when they died', async () => {
    await beatOf('dead');
    await beatOf('one');
    await ledger.pool.query(`update actor_node set lease_until = clock_timestamp() - interval '2 hours'`);
    // Its own row, as old, is renewed.
    expect((await beatOf('one')).nodes).toEqual(['one']);
    const { rows } = await ledger.pool.query('select node from actor_node');
    expect(rows).toEqual([{ node: 'one' }]);
  });

  test('beat all at once without waiting for each other', async () => {
    const nodes = Array.from({ length: 20 }, (_, index) => `node-${index}`);
    await ledger.pool.query(
      `insert into actor_node select 'dead-' || n, clock_timestamp() - interval '2 hours' from generate_series(1, 50) as n`,
    );
    for (let round = 0; round < 3; round++) await Promise.all(nodes.map((node) => beatOf(node)));
    expect((await beatOf('node-0')).nodes).toHaveLength(20);
  });
});

describe('a heartbeat and a slow flush', () => {
  test('the shard that it holds is still its owner’s, the others are renewed, and nobody waits', async () => {
    await claim('one', [0, 1]);
    await expireLeases();
    await inSession(ledger, async (flush) => {
      await flush.query('begin');
      await flush.query('update shard set floor = 10 where shard = 0');
      const beats = [beat(0, { flushingTo: 10, arrivedThroughMs: 700 }), beat(1, { arrivedThroughMs: 800 })];
      expect(await renew(beats)).toEqual(new Set([0, 1]));
      await flush.query('commit');
    });
    expect(await shardRow(ledger, 0)).toMatchObject({ floor: 10, arrived: 0 });
    expect(await shardRow(ledger, 1)).toMatchObject({ arrived: 800 });
    expect(numbersOf(await claim('two', [0, 1]))).toEqual([0]);
  });

  test('a heartbeat that hangs is given up in its time, and the next one goes through', async () => {
    const heartbeats = connectForHeartbeats(ledger.url, 'one', 300, () => undefined);
    onTestFinished(() => heartbeats.end());
    await inSession(ledger, async (blocker) => {
      await blocker.query('begin');
      await blocker.query('lock table actor_node in access exclusive mode');
      const startedAt = performance.now();
      await expect(beatNode(heartbeats, 'one', true, [], LONG_MS)).rejects.toThrow();
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      await blocker.query('rollback');
    });
    expect((await beatNode(heartbeats, 'one', true, [], LONG_MS)).nodes).toEqual(['one']);
  });

  test('heartbeats have one connection of their own, and it is named', async () => {
    const heartbeats = connectForHeartbeats(ledger.url, 'one', 3_000, () => undefined);
    onTestFinished(() => heartbeats.end());
    await Promise.all(['a', 'b', 'c'].map((node) => beatNode(heartbeats, node, true, [], LONG_MS)));
    const { rows } = await ledger.pool.query(
      `select application_name as name from pg_stat_activity where datname = current_database() and application_name like '%heartbeat'`,
    );
    expect(rows).toEqual([{ name: 'one heartbeat' }]);
  });
});

describe('giving back', () => {
  test('frees just that shard at once, and keeps its row', async () => {
    await claim('one', [0, 1]);
    await release(0);
    expect(numbersOf(await claim('three', [0, 1]))).toEqual([0]);
    expect(await shardRow(ledger, 1)).toMatchObject({ owner: 'one', epoch: 1 });
  });

  test.each([
    ['epoch', 'epoch = 2'],
    ['claim, as after PostgreSQL went back', `claim = '${word(9)}'`],
  ])('does nothing to a shard that is another owner’s by %s', async (_what, change) => {
    await claim('one', [0]);
    await ledger.pool.query(`update shard set owner = 'two', ${change}`);
    await release(0);
    expect(await shardRow(ledger, 0)).toMatchObject({ owner: 'two' });
    expect(await claim('three', [0])).toEqual([]);
  });

  test('a heartbeat of the owner that gave a shard back does not keep others from it', async () => {
    await claim('one', [0]);
    await release(0);
    expect(numbersOf(await claim('two', [0]))).toEqual([0]);
    expect(await renew([beat(0)])).toEqual(new Set());
  });
});
