/** A consumer of a shard's stream for one reader: without acknowledgements, kept in the broker's memory alone. */
import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  type JetStreamClient,
  type JetStreamManager,
  nanos,
} from 'nats';
import { clickStream } from './clickStreams.ts';

/** How long one portion is waited for. */
export const FETCH_EXPIRES_MS = 5_000;
const INACTIVE_MS = 60_000;

export interface ShardConsumer {
  readonly handle: Consumer;
  /** Messages that it had to deliver when it was made. */
  readonly pending: number;
}

/** @param from where it begins, and what it delivers */
export async function openShardConsumer(
  client: JetStreamClient,
  manager: JetStreamManager,
  shard: number,
  from: Partial<ConsumerConfig>,
): Promise<ShardConsumer> {
  const info = await manager.consumers.add(clickStream(shard), {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(INACTIVE_MS),
    ...from,
  });
  return { handle: await client.consumers.get(clickStream(shard), info.name), pending: info.num_pending };
}

/** The broker removes a forgotten consumer by itself; saying so only makes it sooner. */
export function discardConsumer(consumer: Consumer): void {
  void consumer.delete().catch(() => undefined);
}
