/** What waits in a gateway's spool gets to the streams, once, whatever else is wrong by then (I1). */
import { DiscardPolicy, nanos } from 'nats';
import { describe, expect } from 'vitest';
import { ingestClient } from '../../src/adapters/grpc/clients.ts';
import { clickStream } from '../../src/adapters/nats/clickStreams.ts';
import { MINUTE_MS, minuteOf } from '../../src/domain/windowCounts.ts';
import { NO_COUNTS } from './support/clickPlan.ts';
import type { Cluster } from './support/cluster.ts';
import { FaultGroup } from './support/faultTest.ts';
import { onDatabase, readCounts, total } from './support/ledger.ts';
import type { ServiceProcess } from './support/serviceProcess.ts';
import { onNats, readEnds } from './support/streams.ts';
import { waitFor } from './support/waitFor.ts';

describe('one stream that refuses', () => {
  const faults = new FaultGroup();
  const refusing = 1;

  faults.test('JetStream hiccups meanwhile: the other shards go on', async ({ cluster, load }) => {
    const { gateway, links } = cluster;
    load.start();
    await load.flowing();
    await onNats(cluster, async (manager) => {
      const { state } = await manager.streams.info(clickStream(refusing));
      const limit = (max_msgs: number) =>
        manager.streams.update(clickStream(refusing), { max_msgs, discard: DiscardPolicy.New });
      await limit(state.messages);
      await gateway.logged(/maximum messages exceeded/);
      links.gatewayNats.stall();
      // Every shard has entries in the spool now.
      await waitFor('every shard spools', async () => shardsThat(gateway, /they go to the spool/).size === 4);
      await load.flowing();
      links.gatewayNats.heal();
      const due = structuredClone(new Map(load.expected));
      await waitFor('the other shards are counted', async () => {
        const stored = await onDatabase(cluster, (client) => readCounts(client, load.adIds));
        return [...due].every(([key, counts]) => {
          if (load.shardOf.get(key.split(' ')[0] ?? '') === refusing) return true;
          return total([stored.get(key) ?? NO_COUNTS]) >= total([counts]);
        });
      });
      expect(shardsThat(gateway, /confirms clicks again/)).toEqual(new Set([0, 2, 3]));
      await limit(-1);
    });
  });
});

describe('a gateway that comes back later than the horizon', () => {
  const faults = new FaultGroup({ DEDUP_HORIZON: '6s', CLICK_URL_TTL: '3s', MAX_FUTURE_SKEW: '2s' });
  const AWAY_MS = 9_000;

  faults.test('its spool holds batches whose acknowledgements were lost', async ({ cluster, load }) => {
    const { gateway, links, ingestAddress } = cluster;
    await forgetBatchIds(cluster);
    const minute = minuteOf(Date.now()) - MINUTE_MS;
    const clicks = load.plan.adIds.map((adId) => load.plan.clickAt(adId, minute));
    const lost = links.gatewayNats.loseReply('clicks.');
    const client = ingestClient(ingestAddress);
    const { results } = await client.batchIngestClicks({ source: 'fault', clicks });
    client.close();
    await lost.swallowed;
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['ACCEPTED']));
    expect(results.some(({ receipt }) => receipt === null)).toBe(true);
    await gateway.kill();
    const before = await onNats(cluster, readEnds);
    expect([...before.values()].some((end) => end > 0)).toBe(true);
    // Its copies are not the gateway's; they would be new clicks by then.
    load.plan.dropCopies();
    links.gatewayNats.heal();
    await Bun.sleep(AWAY_MS);
    await gateway.start();
    await gateway.logged(/a spool segment is on the streams/);
  });

  /** The broker's own memory of batch ids is over after a second. */
  function forgetBatchIds(cluster: Cluster): Promise<void> {
    return onNats(cluster, async (manager) => {
      for (const shard of [0, 1, 2, 3])
        await manager.streams.update(clickStream(shard), { duplicate_window: nanos(1_000) });
    });
  }
});

/** The shards of which the gateway has logged something like this. */
function shardsThat({ log }: ServiceProcess, pattern: RegExp): Set<number> {
  const lines = log.split('\n').filter((line) => pattern.test(line));
  return new Set(lines.map((line) => (JSON.parse(line) as { shard: number }).shard));
}
