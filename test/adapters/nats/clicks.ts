/** A nats-server of a test file's own with what tests of the streams need. */
import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats';
import { onTestFinished } from 'vitest';
import { clickSubject, ensureClickStreams } from '../../../src/adapters/nats/clickStreams.ts';
import { connectNats } from '../../../src/adapters/nats/connection.ts';

export interface Broker {
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
}

export async function openBroker(url: string): Promise<Broker> {
  const connection = await connectNats(url, 'test');
  return { connection, client: connection.jetstream(), manager: await connection.jetstreamManager() };
}

/** A connection that is closed with the test. */
export async function brokerForTest(url: string): Promise<Broker> {
  const broker = await openBroker(url);
  onTestFinished(() => broker.connection.close());
  return broker;
}

let nextShard = 0;

/** A shard of the test's own, with its stream as production makes it. */
export async function newShard({ manager }: Broker): Promise<number> {
  const shard = nextShard++;
  await ensureClickStreams(manager, nextShard);
  return shard;
}

/** Publishes without waiting for each: `messages` in order, all acknowledged in the end. */
export async function publishAll(
  { client }: Broker,
  shard: number,
  messages: readonly (string | Uint8Array)[],
): Promise<void> {
  for (let from = 0; from < messages.length; from += 500) {
    const portion = messages.slice(from, from + 500);
    await Promise.all(portion.map((message) => client.publish(clickSubject(shard), message)));
  }
}
