/**
 * Looks up which batches stand on a shard's stream, by the ids that they were published with. The broker itself knows
 * them for two minutes only; the messages keep them in a header for as long as the stream keeps the messages.
 *
 * "Not there" lets a batch be published, and perhaps be counted a second time. So it is only said when every message of
 * the time in question was seen: nothing may be missing in the delivery, up to where the stream ended at the beginning.
 */
import { type Consumer, DeliverPolicy, type JetStreamClient, type JetStreamManager } from 'nats';
import { clickStream, MESSAGE_ID_HEADER } from './clickStreams.ts';
import { discardConsumer, FETCH_EXPIRES_MS, openShardConsumer } from './shardConsumer.ts';

/** The broker's clock stamps the messages; the gateway's says from when on. */
const CLOCKS_APART_MS = 600_000;
/** Headers alone: some hundred bytes each. */
const FETCH_MESSAGES_MAX = 5_000;

export class StandingBatches {
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;

  constructor(client: JetStreamClient, manager: JetStreamManager) {
    this.#client = client;
    this.#manager = manager;
  }

  /**
   * Those of these batches that stand on the stream, from ten minutes before `sinceMs` on.
   * @throws Error where not everything since then could be seen, or `stop` is given
   */
  async find(
    shard: number,
    batchIds: ReadonlySet<string>,
    sinceMs: number,
    stop: AbortSignal,
  ): Promise<Set<string>> {
    const from = new Date(Math.max(0, sinceMs - CLOCKS_APART_MS));
    const { state } = await this.#manager.streams.info(clickStream(shard));
    if (state.messages === 0 || new Date(state.last_ts) < from) return new Set();
    const { handle } = await openShardConsumer(this.#client, this.#manager, shard, {
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: from.toISOString(),
      headers_only: true,
    });
    try {
      return await findUpTo(handle, state.last_seq, batchIds, stop);
    } finally {
      discardConsumer(handle);
    }
  }
}

async function findUpTo(
  consumer: Consumer,
  lastSequence: number,
  batchIds: ReadonlySet<string>,
  stop: AbortSignal,
): Promise<Set<string>> {
  const found = new Set<string>();
  for (let delivered = 0, sequence = 0; sequence < lastSequence; ) {
    stop.throwIfAborted();
    const before = delivered;
    const portion = await consumer.fetch({ max_messages: FETCH_MESSAGES_MAX, expires: FETCH_EXPIRES_MS });
    for await (const message of portion) {
      delivered += 1;
      if (message.info.deliverySequence !== delivered)
        throw new Error(`message ${delivered} of the look-up was lost on its way`);
      sequence = message.seq;
      const batchId = message.headers?.get(MESSAGE_ID_HEADER) ?? '';
      if (batchIds.has(batchId)) found.add(batchId);
      if (sequence >= lastSequence) return found;
    }
    if (delivered === before)
      throw new Error(`the look-up came to sequence ${sequence} of ${lastSequence}, and no further`);
  }
  return found;
}
