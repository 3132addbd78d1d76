/**
 * A shard's stream is deleted and made anew while everything runs (I2): the counts were made from a stream that is
 * gone. Its owner stops and says what to do, nothing of the new stream is added to the old counts, other shards go on.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { clickStream, ensureClickStreams } from '../../src/adapters/nats/clickStreams.ts';
import type { Counts } from './support/clickPlan.ts';
import { Cluster } from './support/cluster.ts';
import { compare, settled } from './support/exactness.ts';
import { onDatabase, readCounts, readShards } from './support/ledger.ts';
import { TEST_TIMEOUT_MS } from './support/length.ts';
import { Load } from './support/load.ts';
import { onNats, readEnds } from './support/streams.ts';
import { waitFor } from './support/waitFor.ts';

const LOST_SHARD = 1;
const SHARDS = 4;
const ERROR = /was made anew.*restore that stream, or begin with an empty database/;

describe('nats-server', () => {
  let cluster: Cluster | undefined;
  let load: Load | undefined;

  afterEach(async () => {
    await load?.close();
    await cluster?.remove();
  });

  test('a stream is deleted and made anew: its shard stops, the others go on', {
    timeout: TEST_TIMEOUT_MS,
  }, async () => {
    cluster = await Cluster.start();
    load = await Load.register(cluster);
    load.start();
    await load.flowing(2_000);
    await load.finish();
    await settled(cluster, load);
    await compare(cluster, load);
    const before = new Map([...load.expected].map(([key, counts]) => [key, { ...counts }]));
    await makeAnew(cluster);
    load.start();
    // More than was on the stream before: its sequences are reached again.
    await load.flowing(6_000);
    await load.finish();
    await cluster.node('actors-1').logged(ERROR);
    await otherShardsSettled(cluster);
    const stored = await planned(cluster, load);
    expect(ofShard(load, stored, (shard) => shard !== LOST_SHARD)).toEqual(
      ofShard(load, load.expected, (shard) => shard !== LOST_SHARD),
    );
    const isLost = (shard: number | undefined) => shard === LOST_SHARD;
    expect(ofShard(load, stored, isLost)).toEqual(ofShard(load, before, isLost));
  });
});

async function makeAnew(cluster: Cluster): Promise<void> {
  await onNats(cluster, async (manager) => {
    await manager.streams.delete(clickStream(LOST_SHARD));
    await ensureClickStreams(manager, SHARDS);
  });
}

async function otherShardsSettled(cluster: Cluster): Promise<void> {
  await waitFor('the other shards are counted', async () => {
    const [ends, shards] = await Promise.all([onNats(cluster, readEnds), onDatabase(cluster, readShards)]);
    return shards.every(({ shard, floor }) => shard === LOST_SHARD || ends.get(shard) === floor);
  });
}

function planned(cluster: Cluster, load: Load): Promise<Map<string, Counts>> {
  return onDatabase(cluster, (client) => readCounts(client, load.plan.adIds));
}

/** The counts of the ads whose clicks stand on such shards. */
function ofShard(
  load: Load,
  counts: ReadonlyMap<string, Counts>,
  isIt: (shard: number | undefined) => boolean,
): Record<string, Counts> {
  return Object.fromEntries([...counts].filter(([key]) => isIt(load.shardOf.get(key.split(' ')[0] ?? ''))));
}
