/** One shard's stream in memory whose broker's clock the test sets, with old messages that can be removed by age. */
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { LiveStreams } from '../../src/archive/ports.ts';
import type { ShardStreams } from '../../src/domain/shardStreams.ts';
import {
  type StoredMessage,
  StreamGapError,
  type StreamState,
  timestampMsOf,
} from '../../src/domain/streamMessage.ts';
import { checkIncarnation, checkStream } from '../../src/domain/streamPlace.ts';

export const SHARD = 0;

export class AgingStream implements LiveStreams, ShardStreams {
  incarnation = '2025-06-15T12:00:00Z';
  timeMs: number;
  /** What a killed archiver left told. */
  maxAgeMs: number | undefined;
  /** Whether a removal is killed before it is taken back. */
  diesRemoving = false;
  firstSequence = 1;
  readonly all: StoredMessage[] = [];

  constructor(timeMs: number) {
    this.timeMs = timeMs;
  }

  publish(bytes: Uint8Array): void {
    const sequence = this.all.length + 1;
    // The broker's nanoseconds, as readers get them.
    const timestampNanos = BigInt(Number(BigInt(this.timeMs) * 1_000_000n + 123_456n));
    const timestampMs = timestampMsOf(timestampNanos);
    this.all.push({ sequence, timestampNanos, timestampMs, messageId: `batch-${sequence}`, bytes });
    this.expire();
  }

  /** What the broker does by itself while it is told an age. */
  expire(): void {
    if (this.maxAgeMs === undefined) return;
    const since = this.timeMs - this.maxAgeMs;
    // From the front, as far as it is that old.
    while (this.firstSequence <= this.all.length && this.#at(this.firstSequence).timestampMs < since)
      this.firstSequence += 1;
  }

  shards = async () => [SHARD];

  async state(): Promise<StreamState> {
    return {
      incarnation: this.incarnation,
      firstSequence: this.firstSequence,
      lastSequence: this.all.length,
      brokerTimeMs: this.timeMs,
    };
  }

  async firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number> {
    checkIncarnation(shard, incarnation, this.incarnation);
    const held = this.all.slice(this.firstSequence - 1);
    return held.find(({ timestampMs }) => timestampMs >= timeMs)?.sequence ?? this.all.length + 1;
  }

  async *readStored(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence = this.all.length,
  ): AsyncGenerator<StoredMessage> {
    checkStream(await this.state(), { shard, incarnation, next: fromSequence });
    for (let sequence = fromSequence; sequence <= throughSequence && !stop.aborted; sequence++) {
      if (sequence < this.firstSequence) throw new StreamGapError(`starts at ${this.firstSequence}`);
      yield this.#at(sequence);
    }
  }

  read = (...place: Parameters<ShardStreams['read']>) => this.readStored(...place);
  decode = decodeClickBatch;

  async removeOlderThan(_shard: number, maxAgeMs: number): Promise<number> {
    this.maxAgeMs = maxAgeMs;
    this.expire();
    if (this.diesRemoving) throw new Error('killed while the age was told');
    this.maxAgeMs = undefined;
    return this.firstSequence;
  }

  async keepEverything(): Promise<void> {
    this.maxAgeMs = undefined;
  }

  #at(sequence: number): StoredMessage {
    const message = this.all[sequence - 1];
    if (message === undefined) throw new Error(`there is no message ${sequence}`);
    return message;
  }
}
