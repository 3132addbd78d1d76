/** What waits in a gateway's spool gets to the streams, once, whatever else is wrong by then (I1). */
import { DiscardPolicy } from 'nats';
import { describe, expect } from 'vitest';
import { clickStream } from '../../src/adapters/nats/clickStreams.ts';
import { NO_COUNTS } from './support/clickPlan.ts';
import { FaultGroup } from './support/faultTest.ts';
import { onDatabase, readCounts, total } from './support/ledger.ts';
import type { ServiceProcess } from './support/serviceProcess.ts';
import { onNats } from './support/streams.ts';
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

/** The shards of which the gateway has logged something like this. */
function shardsThat({ log }: ServiceProcess, pattern: RegExp): Set<number> {
  const lines = log.split('\n').filter((line) => pattern.test(line));
  return new Set(lines.map((line) => (JSON.parse(line) as { shard: number }).shard));
}
