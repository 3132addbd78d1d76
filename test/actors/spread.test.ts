/** Several actors processes: an even spread, hand-over at once, take-over after a crash, and exact counts all along. */
import { describe, expect, it } from 'vitest';
import { NOON_MS } from '../support/clicks.ts';
import { Cluster, LEASE_MS } from '../support/cluster.ts';
import { NEVER_MS } from '../support/shardWorld.ts';
import { until } from '../support/until.ts';

const ALL = Array.from({ length: 16 }, (_, shard) => shard);

/** One more click on every shard; returns how many that were. */
function clickAll(cluster: Cluster, shards = ALL): number {
  for (const shard of shards) cluster.click(shard);
  return shards.length;
}

describe('nodes', () => {
  it('share the shards evenly as they come and go, one to three to one, and count each click once', async () => {
    const cluster = new Cluster(16);
    let clicks = clickAll(cluster);
    const [one, two, three] = ['node-1', 'node-2', 'node-3'].map((name) => cluster.node(name));
    await one?.start();
    expect(await cluster.settled('node-1')).toEqual([16]);
    clicks += clickAll(cluster);
    await Promise.all([two?.start(), three?.start()]);
    clicks += clickAll(cluster);
    expect(await cluster.settled('node-1', 'node-2', 'node-3')).toEqual([6, 5, 5]);
    clicks += clickAll(cluster);
    await one?.drain();
    expect(await cluster.settled('node-2', 'node-3')).toEqual([8, 8]);
    clicks += clickAll(cluster);
    await three?.drain();
    expect(await cluster.settled('node-2')).toEqual([16]);
    clicks += clickAll(cluster);
    await until(() => cluster.valid === clicks);
    expect(cluster.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it.each([
    [7, 3, [3, 2, 2]],
    [2, 4, [1, 1, 0, 0]],
    [1, 2, [1, 0]],
    [5, 5, [1, 1, 1, 1, 1]],
  ])('share %i shards among %i: %j', async (shards, nodes, right) => {
    const cluster = new Cluster(shards);
    const names = Array.from({ length: nodes }, (_, index) => `node-${index}`);
    await Promise.all(names.map((name) => cluster.node(name).start()));
    expect(await cluster.settled(...names)).toEqual(right);
    // Once one is gone its shards go to those that had none.
    cluster.crash('node-0');
    await cluster.pass(LEASE_MS + 1);
    const counts = await cluster.settled(...names.slice(1));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(shards);
  });

  it('that stay the same leave every shard where it is', async () => {
    const cluster = new Cluster(16);
    const names = ['node-1', 'node-2', 'node-3'];
    await Promise.all(names.map((name) => cluster.node(name).start()));
    await cluster.settled(...names);
    const epochs = () => [...cluster.ledger.shards.values()].map(({ epoch }) => epoch);
    const before = epochs();
    for (let beat = 0; beat < 20; beat++) await cluster.pass(LEASE_MS / 3);
    expect(epochs()).toEqual(before);
  });

  it('take a new shard where there is room for it (I16)', async () => {
    const cluster = new Cluster(4);
    await Promise.all(['node-1', 'node-2'].map((name) => cluster.node(name).start()));
    await cluster.settled('node-1', 'node-2');
    cluster.streams.ensure(7);
    await until(() => cluster.ledger.shards.size === 7);
    expect(await cluster.settled('node-1', 'node-2')).toEqual([4, 3]);
  });

  it('that see different nodes for a moment still come to one owner a shard', async () => {
    const cluster = new Cluster(16);
    const names = ['node-1', 'node-2', 'node-3'];
    await Promise.all(names.map((name) => cluster.node(name).start()));
    await cluster.settled(...names);
    // All leases have run out at once: each node is alone with itself until the others have beaten.
    for (let round = 0; round < 5; round++) {
      cluster.nowMs += LEASE_MS + 1;
      await Bun.sleep(3);
    }
    const clicks = clickAll(cluster);
    for (let step = 0; step < 12; step++) await cluster.pass(LEASE_MS / 3);
    expect(await cluster.settled(...names)).toEqual([6, 5, 5]);
    await until(() => cluster.valid === clicks);
  });
});

describe('a node that joins', () => {
  it('gets its shards at once, with what was counted of them flushed', async () => {
    const cluster = new Cluster(4);
    // Nothing is flushed by itself, and no heartbeat comes by itself: word among the nodes does it all.
    const first = cluster.node('node-1', NEVER_MS, NEVER_MS);
    await first.start();
    clickAll(cluster, [0, 1, 2, 3]);
    const live = () => first.liveDeltas({ adIds: [...cluster.adIds], fromMs: 0, toMs: NOON_MS * 2 });
    await until(() => live().filter(({ rows }) => rows.length === 1).length === 4);
    await cluster.node('node-2', NEVER_MS, NEVER_MS).start();
    expect(await cluster.settled('node-1', 'node-2')).toEqual([2, 2]);
    expect(cluster.owners.get('node-1')).toEqual([0, 1]);
    expect(cluster.valid).toBe(2);
    for (const shard of [2, 3]) expect(cluster.ledger.shard(shard)).toMatchObject({ epoch: 2, floor: 1 });
    expect(live().map(({ shard }) => shard)).toEqual([0, 1]);
  });

  it('gets them by heartbeats where the word is lost', async () => {
    const cluster = new Cluster(4);
    cluster.changes.isSilent = true;
    await cluster.node('node-1').start();
    await cluster.node('node-2').start();
    expect(await cluster.settled('node-1', 'node-2')).toEqual([2, 2]);
  });

  it('under its name of before takes its shards over at once, and no more than its share', async () => {
    const cluster = new Cluster(16);
    await Promise.all(['node-1', 'node-2'].map((name) => cluster.node(name).start()));
    await cluster.settled('node-1', 'node-2');
    const before = cluster.owners.get('node-2');
    // A new process under the same name: the one before is gone, its leases still run.
    const again = cluster.node('node-2');
    await again.start();
    expect(again.shards).toEqual(before);
    for (const shard of before ?? []) expect(cluster.ledger.shard(shard).owner).toBe('node-2');
  });
});

describe('a node that crashes', () => {
  it('loses its shards at the first heartbeat after its lease, not before, and is fenced when it wakes up', async () => {
    const cluster = new Cluster(4);
    const names = ['node-1', 'node-2'];
    const [, second] = names.map((name) => cluster.node(name));
    await cluster.node('node-1').start();
    await second?.start();
    await cluster.settled(...names);
    cluster.crash('node-2');
    let clicks = clickAll(cluster, [0, 1, 2, 3]);
    await cluster.pass(LEASE_MS);
    expect(cluster.owners.get('node-2')).toHaveLength(2);
    await cluster.pass(1);
    await until(() => cluster.owners.get('node-1')?.length === 4);
    await until(() => cluster.valid === clicks);
    cluster.wake('node-2');
    await until(() => second?.shards.length === 0);
    expect(second?.liveDeltas({ adIds: [], fromMs: 0, toMs: NOON_MS * 2 })).toEqual([]);
    await cluster.pass(LEASE_MS / 3);
    clicks += clickAll(cluster, [0, 1, 2, 3]);
    expect(await cluster.settled(...names)).toEqual([2, 2]);
    await until(() => cluster.valid === clicks);
  });

  it('is replaced also in a shard that failed on the other node a moment ago', async () => {
    const cluster = new Cluster(2);
    const mend = cluster.breakReading(1);
    const node = cluster.node('node-1');
    await node.start();
    // Until its own pause for the shard is longer than any lease.
    for (let failures = 1; failures < 8; failures++) {
      await until(() => cluster.pauses(1).length === failures);
      await cluster.pass(cluster.pauses(1).at(-1) ?? 0);
    }
    await until(() => cluster.pauses(1).length === 8);
    expect(cluster.pauses(1).at(-1)).toBe(10_000);
    mend();
    // It is another one's before that pause is over, and that one dies.
    await cluster.pass(LEASE_MS + 1);
    const other = cluster.ledger.of('node-2', LEASE_MS);
    await other.renew([], true);
    await other.claim([{ shard: 1, incarnation: 'made-2', claim: 'other', onlyTakeOver: false }], 1);
    cluster.crash('node-2');
    await cluster.pass(LEASE_MS + 1);
    await until(() => node.shards.length === 2);
    expect(cluster.pauses(1)).toHaveLength(8);
  });
});

describe('a node that drains', () => {
  it('gives each shard away as soon as that is flushed, and keeps its hold on the one that is not', async () => {
    const cluster = new Cluster(4);
    const first = cluster.node('node-1', NEVER_MS);
    await first.start();
    clickAll(cluster, [0, 1, 2, 3]);
    const hold = cluster.ledger.trouble.hold('store', 'before');
    const drained = first.drain();
    await hold.reached;
    const second = cluster.node('node-2');
    await second.start();
    await until(() => second.shards.length === 3);
    await cluster.pass(3 * LEASE_MS, 'node-1');
    expect(second.shards).toHaveLength(3);
    expect(cluster.owners.get('node-1')).toHaveLength(1);
    hold.release();
    await drained;
    await until(() => second.shards.length === 4);
    expect(cluster.valid).toBe(4);
    expect(cluster.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('claims nothing more, though shards are free', async () => {
    const cluster = new Cluster(3);
    const first = cluster.node('node-1', NEVER_MS);
    await first.start();
    clickAll(cluster, [0]);
    const hold = cluster.ledger.trouble.hold('store', 'before');
    const drained = first.drain();
    await hold.reached;
    cluster.streams.ensure(5);
    for (let beat = 0; beat < 5; beat++) await cluster.pass(LEASE_MS / 3, 'node-1');
    expect(cluster.ledger.shards.size).toBe(3);
    hold.release();
    await drained;
    expect([...cluster.owners.keys()]).toEqual([undefined]);
  });

  it('tells the others at once: no heartbeat is waited for', async () => {
    const cluster = new Cluster(4);
    const [first, second] = ['node-1', 'node-2'].map((name) => cluster.node(name, 1, NEVER_MS));
    await first?.start();
    await second?.start();
    await cluster.settled('node-1', 'node-2');
    await first?.drain();
    expect(await cluster.settled('node-2')).toEqual([4]);
  });

  it('leaves shards to their leases where they could not be given back, and ends', async () => {
    const cluster = new Cluster(2);
    const first = cluster.node('node-1');
    await first.start();
    cluster.ledger.trouble.failNext('release', 'before', 2);
    await first.drain();
    expect(cluster.log.lines.filter(({ message }) => message.includes('not given back'))).toHaveLength(2);
    const second = cluster.node('node-2');
    await second.start();
    expect(second.shards).toEqual([]);
    await cluster.pass(LEASE_MS + 1);
    expect(await cluster.settled('node-2')).toEqual([2]);
  });
});

describe('heartbeats', () => {
  it('go on while the broker does not answer: leases are not lost to it', async () => {
    const cluster = new Cluster(2);
    const node = cluster.node('node-1');
    await node.start();
    const hold = cluster.streams.trouble.hold('list', 'before');
    await hold.reached;
    await cluster.pass(3 * LEASE_MS);
    const { leaseUntilMs } = cluster.ledger.shard(0);
    expect(leaseUntilMs).toBeGreaterThanOrEqual(cluster.nowMs);
    hold.release();
    expect(node.shards).toEqual([0, 1]);
  });
});
