/** The gateway dies, drains, waits or loses an answer: what it has answered counts, once (I1). */
import { once } from 'node:events';
import { rename } from 'node:fs/promises';
import { connect } from 'node:net';
import { describe, expect } from 'vitest';
import { ingestClient } from '../../src/adapters/grpc/clients.ts';
import type { Cluster } from './support/cluster.ts';
import { FakeClock } from './support/fakeClock.ts';
import { FaultGroup } from './support/faultTest.ts';
import { BROWSER } from './support/httpFollowers.ts';
import { byLength, DOWN_MS, KILLS } from './support/length.ts';
import type { Load } from './support/load.ts';

const SLOW_MS = 200;
/** Longer than other outages: nothing but the spool stands between a person and a lost click. */
const AWAY_MS = byLength(2_000, 30_000);
/** A hang guard. */
const REFUSED_BOUND_MS = 60_000;

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

describe('a gateway without JetStream', () => {
  const faults = new FaultGroup();

  faults.test(
    'JetStream is away: everybody is answered all the same',
    async ({ cluster, load, afterwards }) => {
      const { gateway, links } = cluster;
      load.start();
      await load.flowing();
      links.gatewayNats.stall();
      await gateway.logged(/they go to the spool/);
      await load.flowing();
      await Bun.sleep(AWAY_MS);
      afterwards(async () => {
        await gateway.logged(/a spool segment is on the streams/);
        expect(await spooledBytes(cluster)).toBe(0);
      });
    },
  );
});

/** Full when it holds 1 MiB, which the load fills in moments. */
describe('a gateway and its spool', () => {
  const faults = new FaultGroup({ SPOOL_BYTES_MAX: '1MiB' });

  faults.test('SIGKILL while clicks wait in the spool', async ({ cluster, load, afterwards }) => {
    const { gateway, links } = cluster;
    load.start();
    await load.flowing();
    for (let kill = 0; kill < KILLS; kill += 1) {
      links.gatewayNats.stall();
      await gateway.logged(/they go to the spool/);
      await load.flowing(200);
      await gateway.kill();
      links.gatewayNats.heal();
      await gateway.start();
      await gateway.logged(/the spool holds clicks of an earlier run/);
      await load.flowing(200);
    }
    afterwards(async () => expect(await spooledBytes(cluster)).toBe(0));
  });

  faults.test('the spool is full', async ({ cluster, load }) => {
    const { gateway, links } = cluster;
    load.start();
    await load.flowing();
    links.gatewayNats.stall();
    await gateway.logged(/they go to the spool/);
    await refused(cluster, load, /RESOURCE_EXHAUSTED.*SPOOL_BYTES_MAX allows 1048576/);
    const ready = await fetch(`${cluster.httpUrl}/readyz`);
    // What waits may still be a little below the limit; what it says must fit what it holds.
    expect([200, 503]).toContain(ready.status);
    await Bun.sleep(DOWN_MS);
  });

  faults.test('the disk of the spool refuses', async ({ cluster, load }) => {
    const { gateway, links, spoolDirectory } = cluster;
    load.start();
    await load.flowing();
    // Its folder is not where it was: for who writes to it, the same as a disk that is full or gone.
    await rename(spoolDirectory, `${spoolDirectory}-away`);
    links.gatewayNats.stall();
    await gateway.logged(/the spool cannot be written/);
    await refused(cluster, load, /UNAVAILABLE.*the spool cannot be written/);
    await rename(`${spoolDirectory}-away`, spoolDirectory);
    await load.flowing();
    await Bun.sleep(DOWN_MS);
  });
});

describe('a gateway whose clock is wrong', () => {
  const faults = new FaultGroup();

  faults.test('ten minutes ahead, then stepped back', async ({ cluster, load }) => {
    const { gateway } = cluster;
    const clock = new FakeClock();
    await gateway.terminate();
    await clock.set('+10m');
    await gateway.start(clock.environment);
    load.start();
    await load.flowing();
    await clock.set('+0');
    await load.flowing();
    await clock.set('+3m');
    await load.flowing();
    await clock.set('-3m');
    await load.flowing();
    await gateway.terminate();
    await gateway.start();
    await load.flowing();
  });
});

/** What `/readyz` says of the spool. */
async function spooledBytes({ httpUrl }: Cluster): Promise<number> {
  const { spool_bytes } = (await (await fetch(`${httpUrl}/readyz`)).json()) as { spool_bytes: number };
  return spool_bytes;
}

/** Waits until clicks are refused with these words. The clicks are sent again later, as any ad server would. */
async function refused({ ingestAddress }: Cluster, load: Load, words: RegExp): Promise<void> {
  const client = ingestClient(ingestAddress, REFUSED_BOUND_MS);
  const clicks = load.plan.take(50);
  const deadline = performance.now() + REFUSED_BOUND_MS;
  try {
    for (;;) {
      const error = await client.batchIngestClicks({ source: 'fault', clicks }).then(
        () => undefined,
        (reason: Error) => reason,
      );
      if (error !== undefined && words.test(error.message)) break;
      if (performance.now() > deadline) throw new Error(`not refused with ${words}: ${error?.message}`);
    }
  } finally {
    client.close();
  }
  void load.sendClicks(clicks).catch(() => undefined);
}

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
