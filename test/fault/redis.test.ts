/** Redis fails or forgets: its memory is advanced or filled again, and what it does not say is never a duplicate (I5, I7). */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished } from 'vitest';
import { FaultProxy } from '../support/faultProxy.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { startRedis } from '../support/redis.ts';
import type { Cluster } from './support/cluster.ts';
import { FaultGroup } from './support/faultTest.ts';
import { DOWN_MS, KILLS } from './support/length.ts';

/** More than a script's own run takes: what was swallowed last is the reply. */
const REPLY_MS = 200;

describe('Redis', () => {
  const faults = new FaultGroup();

  faults.test('down for a while', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    await cluster.servers.redis.kill();
    await Bun.sleep(DOWN_MS);
    await cluster.servers.redis.restart();
  });

  faults.test('half-open: the connection stands, nothing goes through', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    cluster.links.actorsRedis.stall();
    await Bun.sleep(DOWN_MS);
  });

  faults.test('the reply is lost after the script ran', async ({ cluster, load }) => {
    const { actorsRedis } = cluster.links;
    load.start();
    for (let loss = 0; loss < KILLS; loss += 1) {
      await load.flowing();
      const { swallowed } = actorsRedis.loseReply('evalsha');
      await swallowed;
      await Bun.sleep(REPLY_MS);
      actorsRedis.heal();
    }
  });

  faults.test('SIGKILL, and all of its data is lost', async ({ cluster, load, afterwards }) => {
    const { redis } = cluster.servers;
    afterwards(expectRefill(cluster));
    load.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.flowing();
      await redis.kill();
      await rm(path.join(redis.directory, 'appendonlydir'), { recursive: true });
      await redis.restart();
    }
  });

  faults.test('a replica that lagged is promoted', async ({ cluster, load, afterwards }) => {
    const { redis } = cluster.servers;
    const replica = await startReplica(redis);
    onTestFinished(replica.remove);
    load.start();
    await load.flowing();
    await replica.caughtUp();
    const known = await foldedThrough(replica.server.url);
    replica.link.stall();
    await load.flowing(2_000);
    await withRedis(replica.server.url, (client) => client.replicaof('NO', 'ONE'));
    // It lags: a replica that has everything would prove nothing.
    expect(known).toBeGreaterThan(0);
    expect(await foldedThrough(redis.url)).toBeGreaterThan(await foldedThrough(replica.server.url));
    cluster.links.actorsRedis.repoint(replica.server.port);
    afterwards(() => cluster.links.actorsRedis.repoint(redis.port));
  });

  faults.test('FLUSHALL again and again', async ({ cluster, load, afterwards }) => {
    afterwards(expectRefill(cluster));
    load.start();
    for (let wipe = 0; wipe < KILLS; wipe += 1) {
      await load.flowing();
      await withRedis(cluster.servers.redis.url, (client) => client.flushall());
    }
  });

  faults.test('SCRIPT FLUSH again and again', async ({ cluster, load }) => {
    load.start();
    for (let wipe = 0; wipe < KILLS; wipe += 1) {
      await load.flowing();
      await withRedis(cluster.servers.redis.url, (client) => client.script('FLUSH'));
    }
  });

  faults.test('maxmemory is reached, later raised', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    await withRedis(cluster.servers.redis.url, async (client) => {
      await client.config('SET', 'maxmemory', '1mb');
      await expect(client.set('full', '1')).rejects.toThrow(/OOM/);
      await load.flowing();
      await Bun.sleep(DOWN_MS);
      await client.config('SET', 'maxmemory', '0');
    });
  });
});

/** To be called before the fault: whether a memory that was lost since then was filled again. */
function expectRefill(cluster: Cluster): () => void {
  const node = cluster.node('actors-1');
  const before = node.log.length;
  return () => expect(node.log.slice(before)).toMatch(/fold memory is filled again/);
}

interface Replica {
  readonly server: OwnServer;
  /** The way on which it hears of its primary. */
  readonly link: FaultProxy;
  /** Waits until it has everything that its primary had at this moment. */
  caughtUp(): Promise<void>;
  remove(): Promise<void>;
}

/** A replica that answers by the primary's password, as it will have to. */
async function startReplica(primary: OwnServer): Promise<Replica> {
  const own = await startRedis();
  const link = await FaultProxy.start(primary.port);
  const password = new URL(primary.url).password;
  await withRedis(own.url, async (client) => {
    await client.config('SET', 'masterauth', password);
    await client.replicaof('127.0.0.1', link.port);
    await client.config('SET', 'requirepass', password);
  });
  const url = primary.url.replace(/\d+$/, String(own.port));
  return {
    server: { ...own, url },
    link,
    caughtUp: () => withRedis(primary.url, async (client) => void (await client.wait(1, 0))),
    remove: async () => {
      link.close();
      await own.stop();
    },
  };
}

/** The sum over all shards of how far their folds reach in this Redis. */
function foldedThrough(url: string): Promise<number> {
  return withRedis(url, async (client) => {
    let sum = 0;
    for (const key of await client.keys('fold2:{*}')) sum += Number(await client.hget(key, 'through'));
    return sum;
  });
}

async function withRedis<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
