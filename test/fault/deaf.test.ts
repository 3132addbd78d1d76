/** Connections that stand and carry nothing, and a node that is cut off: it goes on without anybody healing anything. */
import { describe, expect } from 'vitest';
import { settled } from './support/exactness.ts';
import { FaultGroup, type FaultScene } from './support/faultTest.ts';

describe('deaf', () => {
  const faults = new FaultGroup();

  faults.test('the connection to Redis hears nothing any more', async (scene) => {
    await goDeaf(scene, 'actorsRedis', 'evalsha');
  });

  faults.test("the actors' connection to NATS hears nothing any more", async (scene) => {
    await goDeaf(scene, 'actorsNats', 'CONSUMER.MSG.NEXT');
  });

  faults.test("the gateway's connection to NATS hears nothing any more", async (scene) => {
    await goDeaf(scene, 'gatewayNats', 'clicks.');
  });

  faults.test('one of two nodes cannot reach Redis', async ({ cluster, load, afterwards }) => {
    const { links, servers } = cluster;
    await cluster.startNode('actors-2', { REDIS_URL: servers.redis.url });
    load.start();
    await load.flowing();
    links.actorsRedis.stall();
    await load.flowing();
    await load.finish();
    await settled(cluster, load);
    afterwards(async () => {
      expect(cluster.node('actors-1').log).toMatch(/its shards are left to others/);
      await cluster.node('actors-2').terminate();
    });
  });
});

/** The replies of one connection are swallowed from some request on; new connections would work. */
async function goDeaf(
  { cluster, load }: FaultScene,
  link: 'actorsRedis' | 'actorsNats' | 'gatewayNats',
  request: string,
): Promise<void> {
  load.start();
  await load.flowing();
  const { swallowed } = cluster.links[link].loseReply(request);
  await swallowed;
  await load.flowing();
  await load.finish();
  await settled(cluster, load);
}
