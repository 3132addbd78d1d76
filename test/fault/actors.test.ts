/** Actors processes die, sleep, double and change: whoever counts reaches the same counts, once (I4, I8, I9). */
import { Redis } from 'ioredis';
import { describe, expect } from 'vitest';
import { MINUTE_MS, minuteOf } from '../../src/domain/windowCounts.ts';
import type { Cluster } from './support/cluster.ts';
import { settled } from './support/exactness.ts';
import { FaultGroup } from './support/faultTest.ts';
import { onDatabase, readShards } from './support/ledger.ts';
import { byLength, KILLS } from './support/length.ts';
import { COMMITTED } from './support/postgresReplies.ts';
import { onNats, readEnds } from './support/streams.ts';
import { waitFor } from './support/waitFor.ts';

const BACKLOG_CLICKS = byLength(30_000, 1_000_000);
const RARE_HEARTBEATS = { HEARTBEAT: '2s', LEASE: '5s', FLUSH_INTERVAL: '100ms' };
const DAY_MS = 86_400_000;

describe('actors', () => {
  const faults = new FaultGroup();

  faults.test('SIGKILL again and again under load', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    load.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.flowing();
      await node.kill();
      await node.start();
    }
  });

  faults.test('SIGKILL after the fold, before the flush', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    await node.terminate();
    await node.start({ FLUSH_INTERVAL: '10m' });
    const before = await floors(cluster);
    await load.send(3_000);
    await waitFor('everything is folded', () => isFolded(cluster));
    expect(await floors(cluster)).toEqual(before);
    await node.kill();
    await node.start();
  });

  faults.test('SIGKILL after the commit, before its answer', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    load.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.flowing();
      const reply = await cluster.links.actorsPostgres.loseReply('store-flush').swallowed;
      expect(reply).toContain(COMMITTED);
      await node.kill();
      cluster.heal();
      await node.start();
    }
  });

  faults.test(
    'SIGSTOP for longer than the lease; it wakes as a zombie',
    async ({ cluster, load, afterwards }) => {
      const zombie = cluster.node('actors-1');
      const successor = await cluster.startNode('actors-2');
      load.start();
      await load.flowing();
      zombie.pause();
      await waitFor('the successor owns all shards', () => isOwnedBy(cluster, 'actors-2'));
      await load.flowing();
      const asleep = zombie.log.length;
      zombie.resume();
      await waitFor('the zombie is fenced', async () =>
        /is fenced|is not at epoch/.test(zombie.log.slice(asleep)),
      );
      await load.flowing();
      afterwards(async () => expect(await successor.terminate()).toBe(0));
    },
  );

  faults.test('two processes under one name, each told to own every shard', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    await node.terminate();
    // It is the flush that finds the other one, not the heartbeat before it.
    await node.start(RARE_HEARTBEATS);
    load.start();
    await load.flowing();
    const twin = await cluster.startNode('twin', RARE_HEARTBEATS, 'actors-1');
    await waitFor('the first is fenced', async () => /is fenced/.test(node.log));
    await waitFor('the twin is fenced', async () => /is fenced/.test(twin.log));
    await load.flowing();
    await twin.kill();
    expect(await node.terminate()).toBe(0);
    await node.start();
  });

  faults.test('a process that had the name of another one ends in order', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    const before = node.log.length;
    load.start();
    await load.flowing();
    const twin = await cluster.startNode('twin-2', {}, 'actors-1');
    await waitFor('the twin is fenced', async () => /is fenced|is not at epoch/.test(twin.log));
    await waitFor('the first owns shards again', async () => /owns shards/.test(node.log.slice(before)));
    // What it gives back must be its own: the other one goes on counting, and the query service must find it.
    expect(await twin.terminate()).toBe(0);
  });

  faults.test('one process, three, and one again under load', async ({ cluster, load }) => {
    const first = cluster.node('actors-1');
    load.start();
    await load.flowing();
    const others = [await cluster.startNode('actors-2'), await cluster.startNode('actors-3')];
    await load.flowing();
    await first.kill();
    await waitFor('the others own its shards', async () => !(await owners(cluster)).has('actors-1'));
    await load.flowing();
    await first.start();
    await load.flowing();
    for (const other of others) expect(await other.terminate()).toBe(0);
    await waitFor('it owns all shards again', () => isOwnedBy(cluster, 'actors-1'));
    await load.flowing();
  });

  faults.test('a backlog is counted from a standing start', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    await node.terminate();
    await load.send(BACKLOG_CLICKS);
    await node.start();
  });

  faults.test('late clicks of ads whose actors left memory', async ({ cluster, load }) => {
    await load.send(1_000);
    await settled(cluster, load);
    // Everything is flushed: no actor of these ads is in memory. The same minutes again, and one of the day before.
    await load.send(1_000);
    const yesterday = minuteOf(Date.now() - DAY_MS) - MINUTE_MS;
    await load.sendClicks(load.plan.adIds.map((adId) => load.plan.clickAt(adId, yesterday)));
  });
});

function floors(cluster: Cluster): Promise<Map<number, number>> {
  return onDatabase(
    cluster,
    async (client) => new Map((await readShards(client)).map(({ shard, floor }) => [shard, floor])),
  );
}

function owners(cluster: Cluster): Promise<Set<string | null>> {
  return onDatabase(cluster, async (client) => new Set((await readShards(client)).map(({ owner }) => owner)));
}

async function isOwnedBy(cluster: Cluster, name: string): Promise<boolean> {
  const found = await owners(cluster);
  return found.size === 1 && found.has(name);
}

/** Whether the fold of every shard reaches to the end of its stream. */
async function isFolded(cluster: Cluster): Promise<boolean> {
  const ends = await onNats(cluster, readEnds);
  const redis = new Redis(cluster.servers.redis.url);
  try {
    for (const key of await redis.keys('fold2:{*}')) {
      const shard = Number(/^fold2:\{(\d+):/.exec(key)?.[1]);
      if (Number(await redis.hget(key, 'through')) !== ends.get(shard)) return false;
    }
    return true;
  } finally {
    redis.disconnect();
  }
}
