/** The gateway dies, drains, waits or loses an answer: what it has answered counts, once (I1). */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect } from 'vitest';
import { ingestClient } from '../../src/adapters/grpc/clients.ts';
import type { Cluster } from './support/cluster.ts';
import { FaultGroup } from './support/faultTest.ts';
import { BROWSER } from './support/httpFollowers.ts';
import { DOWN_MS, KILLS } from './support/length.ts';
import type { Load } from './support/load.ts';

const SLOW_MS = 200;

describe('gateway', () => {
  const faults = new FaultGroup();

  faults.test('SIGKILL again and again under load', async ({ cluster, load }) => {
    load.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.flowing();
      await cluster.gateway.kill();
      await cluster.gateway.start();
    }
  });

  faults.test('SIGTERM under load: it answers what it has begun and ends', async ({ cluster, load }) => {
    load.start();
    for (let drain = 0; drain < KILLS; drain += 1) {
      await load.flowing();
      expect(await cluster.gateway.terminate()).toBe(0);
      expect(cluster.gateway.log).toMatch(/"msg":"drained"/);
      await cluster.gateway.start();
    }
  });

  faults.test('JetStream takes 200 ms to answer', async ({ cluster, load }) => {
    cluster.links.gatewayNats.delayReplies(SLOW_MS);
    load.start();
    await load.flowing(2_000);
    await Bun.sleep(DOWN_MS);
  });

  faults.test('acknowledgements are lost', async ({ cluster, load }) => {
    const { gatewayNats } = cluster.links;
    load.start();
    for (let loss = 0; loss < KILLS; loss += 1) {
      await load.flowing();
      const { swallowed } = gatewayNats.loseReply('clicks.');
      await swallowed;
      // Long enough that the gateway gives up waiting for some of them.
      await Bun.sleep(1_000);
      gatewayNats.heal();
    }
  });

  faults.test('clients are gone before their answers', async ({ cluster, load }) => {
    for (let round = 0; round < KILLS; round += 1) {
      await callAndLeave(cluster, load);
      await followAndLeave(cluster, load);
    }
    load.start();
    await load.flowing();
  });
});

/** Sends clicks and leaves while they are on their way to the stream, then sends them again as any ad server would. */
async function callAndLeave(cluster: Cluster, load: Load): Promise<void> {
  const clicks = load.plan.take(50);
  const impatient = ingestClient(cluster.ingestAddress);
  const { requested } = cluster.links.gatewayNats.loseReply('clicks.');
  const stream = impatient.streamIngestClicks();
  const ended = once(stream, 'error').catch(() => undefined);
  stream.write({ source: 'fault', clicks });
  await requested;
  stream.cancel();
  await ended;
  impatient.close();
  cluster.heal();
  await load.sendClicks(clicks);
}

/** Follows a click URL and hangs up before the redirect, then follows it again as any person would. */
async function followAndLeave(cluster: Cluster, load: Load): Promise<void> {
  const { adId, url } = load.newClickUrl();
  const { pathname, search } = new URL(url);
  const { requested } = cluster.links.gatewayNats.loseReply('clicks.');
  const socket = connect(cluster.httpPort, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: click.example\r\nUser-Agent: ${BROWSER}\r\n\r\n`);
  await requested;
  socket.resetAndDestroy();
  cluster.heal();
  await load.followers.follow(adId, url, 1, 1);
}
