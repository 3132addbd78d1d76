/**
 * The shards' streams in memory: what JetStream is to gateways (`publish`) and owners (`ClickStreams`). Dense
 * sequences, the broker's timestamps, repeated batch ids absorbed, readers that wait for more.
 *
 * It also does what happens to a stream behind everybody's back: it is restored to an earlier state, made anew, or its
 * oldest messages grow too old.
 */

import type { ClickStreams } from '../../src/actors/ports.ts';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { ClickBatch } from '../../src/domain/clickBatch.ts';
import type { PublishedBatch } from '../../src/domain/position.ts';
import type { StreamMessage, StreamState } from '../../src/domain/streamMessage.ts';
import { checkIncarnation, checkStream } from '../../src/domain/streamPlace.ts';
import { LostConnection, Trouble } from './trouble.ts';

/** How far the clocks of a gateway and the broker may be apart. */
const CLOCKS_APART_MS = 600_000;

interface ShardStream {
  incarnation: string;
  /** Sequence of `messages[0]`. */
  firstSequence: number;
  messages: StreamMessage[];
  /** The batch ids that are absorbed. */
  readonly sequenceOf: Map<string, number>;
  /** The batch ids that the messages carry, by sequence. */
  readonly batchIds: Map<number, string>;
}

export class MemoryStreams implements ClickStreams {
  readonly trouble = new Trouble();
  readonly #clock: () => number;
  readonly #shards = new Map<number, ShardStream>();
  readonly #sleepers = new Set<() => void>();
  #made = 0;

  /** @param clock the broker's, milliseconds since the Unix epoch */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Makes the streams of shards 0 to `shards` - 1 that do not exist yet. */
  ensure(shards: number): void {
    for (let shard = 0; shard < shards; shard++) if (!this.#shards.has(shard)) this.makeAnew(shard);
  }

  /** An empty stream with a new incarnation, whatever was there before. */
  makeAnew(shard: number): void {
    this.#made += 1;
    this.#shards.set(shard, {
      incarnation: `made-${this.#made}`,
      firstSequence: 1,
      messages: [],
      sequenceOf: new Map(),
      batchIds: new Map(),
    });
    this.#wake();
  }

  /** The stream ends at `lastSequence`, as after a restore of an older copy. */
  restoreTo(shard: number, lastSequence: number): void {
    const stream = this.#of(shard);
    stream.messages = stream.messages.filter(({ sequence }) => sequence <= lastSequence);
    for (const [batchId, sequence] of stream.sequenceOf)
      if (sequence > lastSequence) stream.sequenceOf.delete(batchId);
    this.#wake();
  }

  /** Messages below `firstSequence` are too old to be kept. */
  expireBelow(shard: number, firstSequence: number): void {
    const stream = this.#of(shard);
    stream.messages = stream.messages.filter(({ sequence }) => sequence >= firstSequence);
    stream.firstSequence = firstSequence;
  }

  /** Repeated batch ids are absorbed no more: the broker's window for them is over. */
  forgetBatchIds(): void {
    for (const { sequenceOf } of this.#shards.values()) sequenceOf.clear();
  }

  /** Publishes as a gateway does. */
  publish(shard: number, bytes: Uint8Array, batchId: string): Promise<PublishedBatch> {
    return this.trouble.around('publish', () => {
      if (this.silent.has(shard)) throw new LostConnection(`the stream of shard ${shard} does not answer`);
      const stream = this.#of(shard);
      const sequence = stream.sequenceOf.get(batchId) ?? this.append(shard, bytes, this.#clock());
      stream.sequenceOf.set(batchId, sequence);
      stream.batchIds.set(sequence, batchId);
      return { incarnation: stream.incarnation, sequence };
    });
  }

  /** Those of these batches that the stream holds from about `sinceMs` on. */
  findStanding(shard: number, batchIds: ReadonlySet<string>, sinceMs: number): Promise<Set<string>> {
    return this.trouble.around('findStanding', () => {
      const stream = this.#of(shard);
      const found = stream.messages
        .filter(({ timestampMs }) => timestampMs >= sinceMs - CLOCKS_APART_MS)
        .map(({ sequence }) => stream.batchIds.get(sequence) ?? '');
      return new Set(found.filter((batchId) => batchIds.has(batchId)));
    });
  }

  /** Puts a message on the stream at once; returns its sequence. The broker's clock may step back. */
  append(shard: number, bytes: Uint8Array, timestampMs: number): number {
    const stream = this.#of(shard);
    const sequence = stream.firstSequence + stream.messages.length;
    stream.messages.push({ sequence, timestampMs, bytes });
    this.#wake();
    return sequence;
  }

  /** Everything that the stream holds. */
  messages(shard: number): readonly StreamMessage[] {
    return this.#of(shard).messages;
  }

  list(): Promise<number[]> {
    return this.trouble.around('list', () => [...this.#shards.keys()].sort((left, right) => left - right));
  }

  /** Shards whose streams do not answer, while the others do. */
  readonly silent = new Set<number>();

  state(shard: number): Promise<StreamState> {
    return this.trouble.around(`state`, () => {
      if (this.silent.has(shard)) throw new LostConnection(`the stream of shard ${shard} does not answer`);
      return this.#state(shard);
    });
  }

  #state(shard: number): StreamState {
    const { incarnation, firstSequence, messages } = this.#of(shard);
    const lastSequence = firstSequence + messages.length - 1;
    return { incarnation, firstSequence, lastSequence, brokerTimeMs: this.#clock() };
  }

  async *read(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence = Infinity,
  ): AsyncGenerator<StreamMessage> {
    for (let next = fromSequence; next <= throughSequence && !stop.aborted; ) {
      await this.trouble.at('read', 'before');
      checkStream(this.#state(shard), { shard, incarnation, next });
      const { firstSequence, messages } = this.#of(shard);
      const message = messages[next - firstSequence];
      if (message === undefined) {
        await this.#sleep(stop);
      } else if (!stop.aborted) {
        next += 1;
        yield message;
      }
    }
  }

  firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number> {
    return this.trouble.around('firstSequenceAt', () => {
      checkIncarnation(shard, incarnation, this.#of(shard).incarnation);
      const { firstSequence, messages } = this.#of(shard);
      const first = messages.find(({ timestampMs }) => timestampMs >= timeMs);
      return first?.sequence ?? firstSequence + messages.length;
    });
  }

  decode(bytes: Uint8Array): ClickBatch | undefined {
    return decodeClickBatch(bytes);
  }

  #of(shard: number): ShardStream {
    const stream = this.#shards.get(shard);
    if (stream === undefined) throw new Error(`the stream of shard ${shard} does not exist`);
    return stream;
  }

  /** Until something changed, or `stop`. */
  #sleep(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake);
        stop.removeEventListener('abort', wake);
        resolve();
      };
      if (stop.aborted) return resolve();
      this.#sleepers.add(wake);
      stop.addEventListener('abort', wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}
