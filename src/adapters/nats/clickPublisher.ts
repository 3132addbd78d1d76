/** Publishes batches of clicks; returns when JetStream has them on disk. */
import type { JetStreamClient, JetStreamManager } from 'nats';
import type { PublishedBatch } from '../../domain/position.ts';
import { clickSubject, readStreamState } from './clickStreams.ts';
import type { Connectivity } from './connectivity.ts';

export class ClickPublisher {
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #connectivity: Connectivity;
  readonly #timeoutMs: number;
  /** What is known of each shard's stream. An acknowledgement does not say to which incarnation it belongs. */
  readonly #known = new Map<number, { incarnation: string; lastSequence: number }>();

  constructor(
    client: JetStreamClient,
    manager: JetStreamManager,
    connectivity: Connectivity,
    timeoutMs: number,
  ) {
    this.#client = client;
    this.#manager = manager;
    this.#connectivity = connectivity;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @param batchId the same for the same bytes, so that a repeated publish is absorbed
   * @throws Error where the acknowledgement did not come in time: the batch may be on the stream or not.
   */
  async publish(shard: number, bytes: Uint8Array, batchId: string): Promise<PublishedBatch> {
    if (!this.#connectivity.isConnected) throw new Error('there is no connection to NATS');
    const publishing = this.#client.publish(clickSubject(shard), bytes, {
      msgID: batchId,
      timeout: this.#timeoutMs,
    });
    // Side by side where the stream is not known yet: a click waits for one of them, not for both.
    const [ack] = this.#known.has(shard)
      ? [await publishing]
      : await Promise.all([publishing, this.#learn(shard)]);
    const known = this.#known.get(shard);
    // Sequences of one incarnation only rise, but for an absorbed repeat; a fall means a stream made anew.
    const isSame = known !== undefined && (ack.seq > known.lastSequence || ack.duplicate);
    const { incarnation, lastSequence } = isSame ? known : await this.#learn(shard);
    this.#known.set(shard, { incarnation, lastSequence: isSame ? Math.max(lastSequence, ack.seq) : ack.seq });
    return { incarnation, sequence: ack.seq };
  }

  async #learn(shard: number): Promise<{ incarnation: string; lastSequence: number }> {
    const { incarnation } = await readStreamState(this.#manager, shard);
    const known = { incarnation, lastSequence: 0 };
    this.#known.set(shard, known);
    return known;
  }
}
