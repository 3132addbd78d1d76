/** Reads the streams of clicks, straight from nats-server: where they end, and how many records are on them. */
import { AckPolicy, DeliverPolicy, type JetStreamManager, type NatsConnection } from 'nats';
import { decodeClickBatch } from '../../../src/adapters/nats/clickBatchCodec.ts';
import { clickStream, listShards, readStreamState } from '../../../src/adapters/nats/clickStreams.ts';
import { connectNats } from '../../../src/adapters/nats/connection.ts';
import type { Cluster } from './cluster.ts';

const PORTION_BYTES_MAX = 4 * 1024 * 1024;

/** Runs `work` on a connection of its own that no proxy stands in. */
export async function onNats<T>(
  cluster: Cluster,
  work: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connectNats(cluster.servers.nats.url, 'test');
  try {
    return await work(await connection.jetstreamManager(), connection);
  } finally {
    await connection.close();
  }
}

/** The last sequence of each shard's stream. */
export async function readEnds(manager: JetStreamManager): Promise<Map<number, number>> {
  const ends = new Map<number, number>();
  for (const shard of await listShards(manager))
    ends.set(shard, (await readStreamState(manager, shard)).lastSequence);
  return ends;
}

/** Records on a shard's stream, counted from its messages. */
export async function countRecords(
  manager: JetStreamManager,
  connection: NatsConnection,
  shard: number,
): Promise<number> {
  const info = await manager.consumers.add(clickStream(shard), {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    mem_storage: true,
  });
  const consumer = await connection.jetstream().consumers.get(clickStream(shard), info.name);
  let records = 0;
  let left = info.num_pending;
  while (left > 0) {
    for await (const message of await consumer.fetch({ max_bytes: PORTION_BYTES_MAX, expires: 5_000 })) {
      records += decodeClickBatch(message.data)?.records.length ?? 1;
      left = message.info.pending;
      if (left === 0) break;
    }
  }
  await consumer.delete();
  return records;
}
