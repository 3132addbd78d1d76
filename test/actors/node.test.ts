/** An actors process: it takes what is free, lets go of what it lost, and one shard's trouble stays that shard's. */
import { describe, expect, it } from 'vitest';
import { NOON_MS } from '../support/clicks.ts';
import { Cluster, HEARTBEAT_MS, LEASE_MS, SHARDS } from '../support/cluster.ts';
import { until } from '../support/until.ts';

const EVERYTHING = { fromMs: 0, toMs: NOON_MS * 2 };

describe('an actors process', () => {
  it('takes every shard that exists and counts it', async () => {
    const cluster = new Cluster();
    for (const shard of [0, 1, 2]) cluster.click(shard);
    const node = cluster.node('node-1');
    await node.start();
    expect(node.shards).toEqual([0, 1, 2]);
    await until(() => cluster.valid === 3);
    expect(node.liveDeltas({ adIds: [], ...EVERYTHING }).map(({ shard }) => shard)).toEqual([0, 1, 2]);
  });

  it('takes a shard that is made later (I16)', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    cluster.streams.ensure(SHARDS + 1);
    await until(() => node.shards.length === SHARDS + 1);
  });

  it('leaves shards alone that another one owns, and takes them when its lease has run out', async () => {
    const cluster = new Cluster();
    const ledger = cluster.ledger.of('node-dead', LEASE_MS);
    await ledger.claim([{ shard: 1, incarnation: 'made-2', claim: 'dead', onlyTakeOver: false }], 1);
    const node = cluster.node('node-1');
    await node.start();
    expect(node.shards).toEqual([0, 2]);
    cluster.nowMs += LEASE_MS + 1;
    await until(() => node.shards.length === 3);
    expect(cluster.ledger.shard(1)).toMatchObject({ owner: 'node-1', epoch: 2 });
  });

  it('notices at a heartbeat that an idle shard was taken from it, and drops only that one (I9)', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    // Its heartbeats do not reach the ledger, so the lease runs out.
    await node.start();
    cluster.ledger.trouble.failNext('renew', 'before', Infinity);
    await Bun.sleep(3);
    cluster.nowMs += LEASE_MS + 1;
    await cluster.ledger
      .of('node-2', LEASE_MS)
      .claim([{ shard: 1, incarnation: 'made-2', claim: 'other', onlyTakeOver: false }], 1);
    cluster.ledger.trouble.mend();
    await until(() => node.shards.length === 2);
    expect(node.shards).toEqual([0, 2]);
    // What it had counted there is nobody's answer any more.
    expect(node.liveDeltas({ adIds: [], ...EVERYTHING }).map(({ shard }) => shard)).toEqual([0, 2]);
    cluster.click(0);
    await until(() => cluster.valid === 1);
  });

  it('does not take its own flush for a loss: a beat between the commit and its answer changes nothing', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    const hold = cluster.ledger.trouble.hold('store', 'after');
    cluster.click(0);
    await hold.reached;
    let beats = 0;
    cluster.ledger.trouble.decide = (operation, border) => {
      if (operation === 'renew' && border === 'after') beats += 1;
    };
    await until(() => beats >= 3);
    expect(node.shards).toEqual([0, 1, 2]);
    expect(cluster.pauses(0)).toEqual([]);
    hold.release();
    cluster.click(0);
    await until(() => cluster.valid === 2);
  });

  it('does not take its own flush for a loss: a beat that was written before the flush and comes after it', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    const hold = cluster.ledger.trouble.hold('renew', 'before');
    await hold.reached;
    cluster.click(0);
    await until(() => cluster.valid === 1);
    await Bun.sleep(2);
    hold.release();
    await Bun.sleep(5 * HEARTBEAT_MS);
    expect(cluster.pauses(0)).toEqual([]);
    expect(node.shards).toEqual([0, 1, 2]);
  });

  it('drops a shard once that fails while a heartbeat finds it lost', async () => {
    const cluster = new Cluster();
    const read = cluster.streams.read.bind(cluster.streams);
    let broken = false;
    cluster.streams.read = async function* (...given) {
      for await (const message of read(...given)) {
        if (broken) throw new Error('this stream cannot be read');
        yield message;
      }
    };
    const node = cluster.node('node-1');
    await node.start();
    const hold = cluster.ledger.trouble.hold('renew', 'before');
    await hold.reached;
    cluster.ledger.restore(withOtherEpoch(cluster, 1));
    broken = true;
    cluster.click(1);
    await until(() => cluster.pauses(1).length === 1);
    hold.release();
    await Bun.sleep(5 * HEARTBEAT_MS);
    expect(cluster.pauses(1)).toEqual([250]);
    expect(cluster.log.lines.filter(({ level }) => level === 'warn')).toEqual([]);
    broken = false;
  });

  it('takes up again what a ledger that went back made it drop, and counts the same', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    const earlier = cluster.ledger.snapshot();
    cluster.click(2);
    await until(() => cluster.valid === 1);
    cluster.ledger.restore(earlier);
    expect(cluster.valid).toBe(0);
    await until(() => cluster.pauses(2).length === 1);
    cluster.nowMs += 300;
    await until(() => cluster.valid === 1);
    expect(node.shards).toEqual([0, 1, 2]);
  });

  it('drops a shard whose stream was made anew, says what to do, and counts nothing of it; the others go on', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    cluster.click(1);
    await until(() => cluster.valid === 1);
    cluster.streams.makeAnew(1);
    for (let click = 0; click < 3; click++) cluster.click(1);
    await until(() => cluster.pauses(1).length === 1);
    // And again at every try.
    cluster.nowMs += 250;
    await until(() => cluster.pauses(1).length === 2);
    for (const { facts } of cluster.log.lines.filter(({ level }) => level === 'error'))
      expect(String((facts as { err: unknown }).err)).toMatch(/shard 1 was made anew .* restore that stream/);
    cluster.click(0);
    await until(() => cluster.valid === 2);
    expect(node.shards).toEqual([0, 2]);
    expect(cluster.ledger.shard(1)).toMatchObject({ floor: 1, records: 1 });
  });

  it('claims each shard, each time, with a word of its own', async () => {
    const cluster = new Cluster();
    await cluster.node('node-1').start();
    const words = [0, 1, 2].map((shard) => cluster.ledger.shard(shard).claim);
    await cluster.node('node-1').start();
    for (const shard of [0, 1, 2]) words.push(cluster.ledger.shard(shard).claim);
    expect(new Set(words).size).toBe(6);
  });

  it('restarts a shard that fails after pauses that grow to a limit, while the others go on', async () => {
    const cluster = new Cluster();
    cluster.click(1);
    const mend = cluster.breakReading(1);
    const node = cluster.node('node-1');
    await node.start();
    const right = [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000];
    for (const [index, pause] of right.entries()) {
      await until(() => cluster.pauses(1).length === index + 1);
      expect(cluster.pauses(1)[index]).toBe(pause);
      // Not a moment before its pause is over.
      cluster.nowMs += pause - 1;
      await Bun.sleep(4 * HEARTBEAT_MS);
      expect(cluster.pauses(1).length).toBe(index + 1);
      cluster.nowMs += 1;
    }
    await until(() => cluster.pauses(1).length === right.length + 1);
    cluster.click(0);
    await until(() => cluster.valid === 1);
    mend();
    cluster.nowMs += 10_000;
    await until(() => cluster.valid === 2);
  });

  it('forgets how often a shard failed once that is long ago', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    const steal = async () => {
      const before = cluster.pauses(1).length;
      cluster.ledger.restore(withOtherEpoch(cluster, 1));
      await until(() => cluster.pauses(1).length === before + 1);
      cluster.nowMs += cluster.pauses(1).at(-1) ?? 0;
      await until(() => node.shards.includes(1));
    };
    await steal();
    await steal();
    cluster.nowMs += 10_000;
    await steal();
    expect(cluster.pauses(1)).toEqual([250, 500, 250]);
  });

  it('goes on after heartbeats that did not go through', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    cluster.streams.trouble.failNext('list', 'before', 3);
    cluster.ledger.trouble.failNext('renew', 'before', 3);
    cluster.streams.ensure(SHARDS + 1);
    await until(() => node.shards.length === SHARDS + 1);
    expect(cluster.log.lines.some(({ message }) => message.includes('heartbeat'))).toBe(true);
  });

  it('a shard whose stream does not answer holds up no other, at the start, at a heartbeat, or at the drain', async () => {
    const cluster = new Cluster();
    cluster.streams.silent.add(1);
    const node = cluster.node('node-1');
    await node.start();
    expect(node.shards).toEqual([0, 2]);
    cluster.streams.silent.delete(1);
    await until(() => node.shards.length === SHARDS);
    cluster.streams.silent.add(1);
    cluster.click(2);
    cluster.nowMs += 1_000;
    await until(() => cluster.ledger.shard(2).arrivedThroughMs === NOON_MS + 1_000);
    await node.drain();
    expect(cluster.valid).toBe(1);
    for (const shard of [0, 1, 2]) expect(cluster.ledger.shard(shard).owner).toBeUndefined();
  });

  it('is as fresh as the broker where nothing is pending, also in the ledger', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1');
    await node.start();
    cluster.nowMs += 1_000;
    await until(() => cluster.ledger.shard(1).arrivedThroughMs === NOON_MS + 1_000);
    expect(cluster.ledger.shard(1).floor).toBe(0);
  });

  it('drains: counts and stores what is on the streams, gives the shards back, and beats no more', async () => {
    const cluster = new Cluster();
    const node = cluster.node('node-1', 2 ** 30);
    await node.start();
    for (const shard of [0, 0, 1, 2]) cluster.click(shard);
    await node.drain();
    expect(cluster.valid).toBe(4);
    for (const shard of [0, 1, 2]) expect(cluster.ledger.shard(shard).owner).toBeUndefined();
    let calls = 0;
    cluster.ledger.trouble.decide = () => {
      calls += 1;
    };
    await Bun.sleep(5 * HEARTBEAT_MS);
    expect(calls).toBe(0);
  });

  it('hands over to the next process, which goes on where it stopped', async () => {
    const cluster = new Cluster();
    const first = cluster.node('node-1');
    await first.start();
    cluster.click(0);
    await first.drain();
    cluster.click(0);
    const second = cluster.node('node-2');
    await second.start();
    expect(second.shards).toEqual([0, 1, 2]);
    await until(() => cluster.valid === 2);
  });
});

/** The ledger as it is, but for a shard whose row says another epoch. */
function withOtherEpoch(cluster: Cluster, shard: number): unknown {
  const state = cluster.ledger.snapshot() as { shards: Map<number, { epoch: number }> };
  const row = state.shards.get(shard);
  if (row !== undefined) row.epoch += 1;
  return state;
}
