/** A shard's owner against everything that may happen around it. What it counted is held against a naive count. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FencedError } from '../../src/actors/shardActor.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import type { LiveRow } from '../../src/domain/aggregates.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import { StreamGapError } from '../../src/domain/streamMessage.ts';
import { addCounts, emptyCounts } from '../../src/domain/windowCounts.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { naiveCount } from '../support/naiveCount.ts';
import { Random } from '../support/random.ts';
import { NEVER_MS, type RunningOwner, ShardWorld } from '../support/shardWorld.ts';
import { until } from '../support/until.ts';

const EVERYTHING = { fromMs: 0, toMs: NOON_MS * 2 };

/** A click number of its own, now. */
function clickAt(world: ShardWorld, number: number, changes: Partial<ClickRecord> = {}): ClickRecord {
  return recordOf({
    clickId: uuid7At(world.nowMs, number),
    impressionId: uuid7At(world.nowMs - 1_000, number),
    eventTimeMs: world.nowMs,
    receivedMs: world.nowMs,
    // Three people, who come again.
    userKey: new Uint8Array(16).fill(number % 3),
    ...changes,
  });
}

/** Waits until the owner has applied everything on the stream, without a flush. */
async function caughtUp(world: ShardWorld): Promise<void> {
  await until(() => (world.folds.through(0, 'made-1') ?? 0) >= world.lastSequence, 'the owner to catch up');
}

function expectExact(world: ShardWorld): void {
  const expected = world.expected();
  expect(new Map(world.ledger.counts)).toEqual(expected.counts);
  expect(world.ledger.people).toEqual(expected.people);
  const { records, duplicates, floor } = world.ledger.shard(0);
  expect({ records, duplicates, floor }).toEqual({
    records: expected.records,
    duplicates: expected.duplicates,
    floor: world.lastSequence,
  });
  expect(world.ledger.deadLetters.length).toBe(expected.deadLetters);
}

describe('an owner', () => {
  it('counts what is on the stream, each click once, and flushes it when it is drained', async () => {
    const world = new ShardWorld();
    const first = clickAt(world, 1);
    world.publish(first, clickAt(world, 2), first);
    world.publish({ ...clickAt(world, 3), impressionId: first.impressionId });
    world.publish(clickAt(world, 4, { test: true }), clickAt(world, 5, { userAgent: 'curl/8.5.0' }));
    const owner = await world.own();
    expect(await world.drain(owner)).toBeUndefined();
    expectExact(world);
    const counts = world.ledger.counts.get(`${NOON_MS} ad-1`);
    expect(counts).toMatchObject({ valid: 2, repeat: 1, givt: 1, test: 1, sivt: 0, defective: 0 });
    expect(world.ledger.shard(0)).toMatchObject({ floor: 3, records: 6, duplicates: 1 });
  });

  it('flushes by itself at its interval', async () => {
    const world = new ShardWorld();
    const owner = await world.own('node-1', 1);
    world.publish(clickAt(world, 1));
    await until(() => world.ledger.shard(0).floor === 1);
    expectExact(world);
    owner.actor.stop();
    expect(await owner.ended).toBeUndefined();
  });

  it('writes down a stream time that never falls, though the broker’s clock stepped back', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    world.nowMs -= 3_000;
    world.publish(clickAt(world, 2));
    await world.drain(await world.own());
    expect(world.ledger.shard(0)).toMatchObject({ streamTimeMs: NOON_MS, arrivedThroughMs: NOON_MS });
  });

  it('keeps what it cannot judge as dead letters, with the place where it stands', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    world.streams.append(0, new Uint8Array([0xff, 0xff]), world.nowMs);
    const owner = await world.own();
    await world.drain(owner);
    expectExact(world);
    expect(world.ledger.deadLetters).toMatchObject([
      { shard: 0, sequence: 2, index: 0, reason: 'undecodable' },
    ]);
  });

  it('reads the routing table to where the publisher had read it, before it checks a route', async () => {
    const world = new ShardWorld(RULES, 1);
    const elsewhere = world.routingStream.open();
    await elsewhere.append({ kind: 'closed_until', untilMs: NOON_MS - 60_000 });
    await elsewhere.append({ kind: 'fan_out', adId: 'ad-1', fanOut: 4, fromMs: NOON_MS - 60_000 });
    expect(world.routing.table.sequence).toBe(1);
    const owner = await world.own();
    const click = clickAt(world, 1);
    world.streams.append(0, encodeClickBatch(3, [encodeClickRecord(click)]), world.nowMs);
    await world.drain(owner);
    expect(world.routing.table.sequence).toBe(3);
    expectExact(world);
  });
});

describe('a flush', () => {
  it('whose answer was lost is tried again and not added twice', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1), clickAt(world, 2));
    world.ledger.trouble.failNext('store', 'after');
    const owner = await world.own();
    expect(await world.drain(owner)).toBeUndefined();
    expectExact(world);
  });

  it('that never arrived is tried again, and what is counted meanwhile goes with the next one', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    world.ledger.trouble.failNext('store', 'before');
    const owner = await world.own('node-1', 1);
    await until(() => world.log.lines.some(({ message }) => message.includes('flush did not go through')));
    world.publish(clickAt(world, 2));
    await until(() => world.ledger.shard(0).floor === 2);
    expectExact(world);
    owner.actor.stop();
    await owner.ended;
  });

  it('of an owner that lost its shard is refused: it throws, and what it counted is not added', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    const paused = await world.own('node-1');
    await caughtUp(world);
    world.expireLease();
    const successor = await world.own('node-2');
    paused.actor.drain(world.lastSequence + 1);
    world.publish(clickAt(world, 2));
    const error = await paused.ended;
    expect(error).toBeInstanceOf(FencedError);
    expect((error as Error).message).toContain('epoch 1');
    expect((error as Error).message).toContain('found owner node-2, epoch 2');
    await world.drain(successor);
    expectExact(world);
  });

  it('of an owner whose ledger went back is refused, and its successor counts the same again', async () => {
    const world = new ShardWorld();
    const owner = await world.own('node-1', 1);
    world.publish(clickAt(world, 1));
    await until(() => world.ledger.shard(0).floor === 1);
    const earlier = world.ledger.snapshot();
    world.publish(clickAt(world, 2));
    await until(() => world.ledger.shard(0).floor === 2);
    world.ledger.restore(earlier);
    world.publish(clickAt(world, 3));
    expect(await owner.ended).toBeInstanceOf(FencedError);
    await world.drain(await world.own('node-1'));
    expectExact(world);
  });

  it('of a zombie is refused when the ledger went back and gave its epoch to another owner', async () => {
    const world = new ShardWorld();
    const earlier = world.ledger.snapshot();
    world.publish(clickAt(world, 1), clickAt(world, 2));
    const zombie = await world.own('node-1');
    await caughtUp(world);
    world.ledger.restore(earlier);
    const owner = await world.own('node-2');
    const epochOf = ({ actor }: RunningOwner) => actor.heartbeat().epoch;
    expect(epochOf(owner)).toBe(epochOf(zombie));
    expect(await world.drain(zombie)).toBeInstanceOf(FencedError);
    expect(world.ledger.counts.size).toBe(0);
    // Nor does it hold the shard by its heartbeat.
    const { held } = await world.ledger.of('node-1', 1_000).renew([zombie.actor.heartbeat()], true);
    expect(held).toEqual(new Set());
    expect(await world.drain(owner)).toBeUndefined();
    expectExact(world);
  });

  it('waits for nothing when nothing was applied', async () => {
    const world = new ShardWorld();
    const owner = await world.own('node-1', 1);
    let stores = 0;
    world.ledger.trouble.decide = (operation) => {
      if (operation === 'store') stores += 1;
    };
    await Bun.sleep(10);
    owner.actor.stop();
    await owner.ended;
    expect(stores).toBe(0);
  });

  it('makes reading wait while counts at their limit are not stored (I14)', async () => {
    const world = new ShardWorld();
    const hold = world.ledger.trouble.hold('store', 'before');
    // One dead letter a message: the smallest of the limits.
    for (let sequence = 1; sequence <= 2_500; sequence++)
      world.streams.append(0, new Uint8Array([0xff, 0xff]), world.nowMs);
    const owner = await world.own();
    await hold.reached;
    await until(() => world.folds.through(0, 'made-1') !== undefined);
    const before = world.folds.through(0, 'made-1');
    await Bun.sleep(5);
    expect(world.folds.through(0, 'made-1')).toBe(before);
    expect(before).toBe(1_000);
    hold.release();
    await world.drain(owner);
    expectExact(world);
  });
});

describe('a stream that is not what the checkpoint was made for stops the owner with words to act on (I2)', () => {
  async function counted(messages: number): Promise<ShardWorld> {
    const world = new ShardWorld();
    for (let number = 1; number <= messages; number++) world.publish(clickAt(world, number));
    await world.drain(await world.own());
    return world;
  }

  async function reasonToStop(world: ShardWorld): Promise<string> {
    const error = await (await world.own()).ended;
    expect(error).toBeInstanceOf(StreamGapError);
    return (error as Error).message;
  }

  it('made anew', async () => {
    const world = await counted(1);
    world.streams.makeAnew(0);
    expect(await reasonToStop(world)).toMatch(/made anew at made-2.*made-1.*restore that stream/);
  });

  it('restored to before the floor', async () => {
    const world = await counted(3);
    world.streams.restoreTo(0, 2);
    expect(await reasonToStop(world)).toMatch(
      /ends at sequence 2, but the counts reach to 3.*restore a copy.*reaches to 3/,
    );
  });

  it('without messages beyond the floor that were never counted', async () => {
    const world = await counted(1);
    for (let number = 2; number <= 5; number++) world.publish(clickAt(world, number));
    world.streams.expireBelow(0, 3);
    expect(await reasonToStop(world)).toMatch(
      /starts at sequence 3, but the counts reach only to 1.*restore a copy.*holds 2/,
    );
  });

  it('but the first kept message may be the one just after the floor', async () => {
    const world = await counted(2);
    world.publish(clickAt(world, 3));
    world.streams.expireBelow(0, 3);
    // Its memory is whole, so nothing below the floor is needed.
    expect(await world.drain(await world.own())).toBeUndefined();
    expect(world.ledger.shard(0).floor).toBe(3);
  });

  it('made anew while the owner waits for the next click, and grown beyond where it was', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    const owner = await world.own('node-1', 1);
    await until(() => world.ledger.shard(0).floor === 1);
    world.streams.makeAnew(0);
    for (let number = 2; number <= 5; number++) world.publish(clickAt(world, number));
    const error = await owner.ended;
    expect(error).toBeInstanceOf(StreamGapError);
    expect((error as Error).message).toMatch(/made anew at made-2.*made-1/);
    expect(world.ledger.shard(0)).toMatchObject({ floor: 1, records: 1 });
  });

  it.each([
    ['made anew', 0],
    ['restored to an earlier state', 1],
  ])('%s while its reader hears nothing of it: the next heartbeat tells', async (_what, lastSequence) => {
    const world = new ShardWorld();
    const read = world.streams.read.bind(world.streams);
    // As a reader whose broker has lost its consumer without a word.
    let deaf = false;
    world.streams.read = async function* (...given) {
      for await (const message of read(...given)) {
        if (deaf) await systemTimers.pause(NEVER_MS, given[3]);
        yield message;
      }
    };
    world.publish(clickAt(world, 1));
    world.publish(clickAt(world, 2));
    const owner = await world.own('node-1', 1);
    await until(() => world.ledger.shard(0).floor === 2);
    deaf = true;
    world.publish(clickAt(world, 3));
    await owner.actor.listen();
    if (lastSequence === 0) world.streams.makeAnew(0);
    else world.streams.restoreTo(0, lastSequence);
    await owner.actor.listen();
    expect(await Promise.race([owner.ended, Bun.sleep(500)])).toBeInstanceOf(StreamGapError);
  });

  it('but not one that went on while the broker said how far it was', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    const owner = await world.own('node-1', 1);
    await until(() => world.ledger.shard(0).floor === 1);
    const hold = world.streams.trouble.hold('state', 'after');
    const heard = owner.actor.listen();
    await hold.reached;
    world.publish(clickAt(world, 2));
    await until(() => world.ledger.shard(0).floor === 2);
    hold.release();
    await heard;
    expect(await world.drain(owner)).toBeUndefined();
    expectExact(world);
  });

  it('with a hole in the delivery', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    world.publish(clickAt(world, 2));
    world.publish(clickAt(world, 3));
    const read = world.streams.read.bind(world.streams);
    world.streams.read = async function* (...given) {
      for await (const message of read(...given)) if (message.sequence !== 2) yield message;
    };
    const owner = await world.own();
    const error = await owner.ended;
    expect(error).toBeInstanceOf(StreamGapError);
    expect((error as Error).message).toContain('sequence 3 came after 1');
    expect(world.ledger.counts.size).toBe(0);
  });
});

describe('the live delta', () => {
  function sum(rows: readonly LiveRow[]) {
    const total = emptyCounts();
    for (const row of rows) addCounts(total, { ...row, fingerprintHigh: 0, fingerprintLow: 0 });
    return total;
  }

  it('is relative to the floor that it names: stored + delta = applied, also while a flush is under way', async () => {
    const world = new ShardWorld();
    const owner = await world.own('node-1', 1);
    const ask = () => owner.actor.liveDelta({ adIds: ['ad-1', 'ad-2'], ...EVERYTHING });
    const check = () => {
      const delta = ask();
      // The ledger as of the floor that the delta names.
      const through = (sequence: number) =>
        naiveCount(world.streams.messages(0).slice(0, sequence), 0, world.routing.table);
      const stored = [...through(delta.floor).counts.values()].reduce((total, { valid }) => total + valid, 0);
      const applied = world.folds.through(0, 'made-1') ?? 0;
      const all = [...through(applied).counts.values()].reduce((total, { valid }) => total + valid, 0);
      // The fold is one step ahead of the owner for a moment.
      const valid = stored + sum(delta.rows).valid;
      expect([all, all - 1]).toContain(valid);
    };
    const random = new Random(7);
    for (let number = 1; number <= 40; number++) {
      const hold = random.chance(0.3)
        ? world.ledger.trouble.hold('store', random.chance(0.5) ? 'before' : 'after')
        : undefined;
      world.publish(clickAt(world, number, { adId: random.pick(['ad-1', 'ad-2']) }));
      if (random.chance(0.5)) await Bun.sleep(1);
      check();
      await caughtUp(world);
      check();
      hold?.release();
    }
    await world.drain(owner);
    expect(ask().rows).toEqual([]);
    expectExact(world);
  });

  it('keeps to the ads and the half-open range that were asked for', async () => {
    const world = new ShardWorld();
    const owner = await world.own();
    for (const [index, minutes] of [0, 1, 2].entries()) {
      const eventTimeMs = NOON_MS + minutes * 60_000;
      world.nowMs = eventTimeMs;
      world.publish(clickAt(world, index + 1), clickAt(world, index + 10, { adId: 'ad-2' }));
    }
    await caughtUp(world);
    await until(() => owner.actor.liveDelta({ adIds: ['ad-2'], ...EVERYTHING }).rows.length === 3);
    const delta = owner.actor.liveDelta({
      adIds: ['ad-1', 'unknown'],
      fromMs: NOON_MS + 60_000,
      toMs: NOON_MS + 120_000,
    });
    expect(delta).toMatchObject({ shard: 0, epoch: 1, floor: 0 });
    expect(delta.rows).toEqual([
      {
        adId: 'ad-1',
        minute: NOON_MS + 60_000,
        valid: 1,
        repeat: 0,
        givt: 0,
        sivt: 0,
        defective: 0,
        test: 0,
      },
    ]);
    owner.actor.stop();
    await owner.ended;
  });

  it('is as fresh as the broker only when everything that it has was applied', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    const owner = await world.own();
    await caughtUp(world);
    await until(() => owner.actor.liveDelta({ adIds: ['ad-1'], ...EVERYTHING }).rows.length === 1);
    const fresh = () => owner.actor.liveDelta({ adIds: [], ...EVERYTHING }).arrivedThroughMs;
    expect(fresh()).toBe(NOON_MS);
    // One more message is on the stream, and not applied yet.
    const hold = world.folds.trouble.hold('fold', 'before');
    world.publish(clickAt(world, 2));
    await hold.reached;
    world.nowMs += 500;
    await owner.actor.listen();
    expect(fresh()).toBe(NOON_MS);
    hold.release();
    await until(() => owner.actor.liveDelta({ adIds: ['ad-1'], ...EVERYTHING }).rows[0]?.valid === 2);
    await owner.actor.listen();
    expect(fresh()).toBe(NOON_MS + 500);
    // The floor is behind what was applied, so the checkpoint may not claim it.
    expect(owner.actor.heartbeat().arrivedThroughMs).toBe(0);
    await world.drain(owner);
    expect(owner.actor.heartbeat().arrivedThroughMs).toBe(NOON_MS + 500);
  });
});

describe('a drain', () => {
  it('waits until PostgreSQL is back, then gives everything away', async () => {
    const world = new ShardWorld();
    for (let number = 1; number <= 20; number++) world.publish(clickAt(world, number));
    world.ledger.trouble.failNext('store', 'before', 1);
    const owner = await world.own();
    expect(await world.drain(owner)).toBeUndefined();
    expectExact(world);
  });

  it('does not wait for clicks that came after it', async () => {
    const world = new ShardWorld();
    world.publish(clickAt(world, 1));
    const owner = await world.own();
    await caughtUp(world);
    await until(() => owner.actor.heartbeat().arrivedThroughMs === 0);
    const hold = world.folds.trouble.hold('fold', 'before');
    world.publish(clickAt(world, 2));
    await hold.reached;
    owner.actor.drain(1);
    hold.release();
    expect(await owner.ended).toBeUndefined();
    expect(world.ledger.shard(0).floor).toBeGreaterThanOrEqual(1);
    await world.drain(await world.own());
    expectExact(world);
  });

  it('ends an idle owner without a flush', async () => {
    const world = new ShardWorld();
    const owner = await world.own();
    expect(await world.drain(owner)).toBeUndefined();
    expect(world.ledger.shard(0).floor).toBe(0);
  });
});

describe('whatever happens, in any order, the counts are exact', () => {
  /** A stream of clicks with duplicates, repeats, refused ones, late ones, and a clock that steps back. */
  function publishSomething(world: ShardWorld, random: Random, past: ClickRecord[]): void {
    world.nowMs += random.pick([0, 10, 400, 1_500, 30_000]);
    if (random.chance(0.1)) world.nowMs -= 3_000;
    const clicks: ClickRecord[] = [];
    for (let left = 1 + random.below(4); left > 0; left--) {
      const earlier = past.length > 0 && random.chance(0.5) ? random.pick(past) : undefined;
      const number = past.length + 1;
      const click =
        earlier === undefined
          ? clickAt(world, number, { adId: random.pick(['ad-1', 'ad-2', 'ad-3']), test: random.chance(0.15) })
          : random.chance(0.5)
            ? earlier
            : { ...clickAt(world, number), adId: earlier.adId, impressionId: earlier.impressionId };
      clicks.push(random.chance(0.1) ? { ...click, impressionId: undefined } : click);
      past.push(click);
    }
    if (random.chance(0.03)) world.streams.append(0, new Uint8Array([0xff]), world.nowMs);
    world.publish(...clicks);
  }

  async function play(seed: number): Promise<void> {
    const random = new Random(seed);
    const world = new ShardWorld({ ...RULES, dedupHorizonMs: 60_000 });
    const past: ClickRecord[] = [];
    const zombies: RunningOwner[] = [];
    let owner = await world.own('node-0', random.pick([1, 2, 1_000]));
    let earlier = world.ledger.snapshot();
    world.folds.trouble.decide = () => (random.chance(0.1) ? Bun.sleep(0) : undefined);
    for (let step = 1; step <= 60; step++) {
      publishSomething(world, random, past);
      if (random.chance(0.3)) await Bun.sleep(random.below(2));
      if (random.chance(0.08)) world.folds.wipe();
      if (random.chance(0.05)) world.folds.loseTail(1 + random.below(20));
      if (random.chance(0.01)) world.folds.failHalfWay = true;
      if (random.chance(0.005)) world.ledger.trouble.failNext('store', random.pick(['before', 'after']));
      if (random.chance(0.05)) earlier = world.ledger.snapshot();
      const ledgerGoesBack = random.chance(0.02);
      if (ledgerGoesBack) world.ledger.restore(earlier);
      if (ledgerGoesBack || random.chance(0.08)) {
        // The owner dies, or is only paused: then it goes on beside its successor and must do no harm.
        if (random.chance(0.6)) owner.actor.stop();
        else zombies.push(owner);
        world.expireLease();
        owner = await world.own(`node-${step}`, random.pick([1, 2, 1_000]));
      }
    }
    // Whatever the zombies still send: a ledger that went back gives an epoch out a second time, a claim never.
    expect(await world.drain(owner)).toBeUndefined();
    for (const zombie of zombies) zombie.actor.stop();
    await Promise.all(zombies.map(({ ended }) => ended));
    expectExact(world);
  }

  it('crashes, zombies, wiped and shortened folds, lost answers, a ledger that goes back', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), play), { numRuns: 25 });
  });
});
