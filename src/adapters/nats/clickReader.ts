/**
 * Reads a shard's stream in order from one sequence on, without acknowledgements: the position of record is the
 * checkpoint in PostgreSQL.
 *
 * The client's own ordered consumer hands messages to a buffer without a bound: a reader that is slower than the
 * broker would take the whole backlog into memory. So this reader fetches bounded portions, and asks for the next
 * one when the last is used up.
 *
 * I2: every message must carry the sequence that is expected, and come from the stream that is expected. A hole in the
 * delivery (a lost connection, a consumer that vanished) is answered by a new consumer at the expected sequence; a hole
 * in the stream itself, or another stream in its place, is an error.
 */
import {
  type Consumer,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from 'nats';
import { type StoredMessage, StreamGapError, type StreamMessage } from '../../domain/streamMessage.ts';
import { checkIncarnation, checkStream, type StreamPlace } from '../../domain/streamPlace.ts';
import { clickStream, MESSAGE_ID_HEADER, readStreamState } from './clickStreams.ts';
import { discardConsumer, FETCH_EXPIRES_MS, openShardConsumer, type ShardConsumer } from './shardConsumer.ts';

/**
 * Sixteen readers with this much in flight stay below the broker's limit of 64 MiB for a connection. The client adds
 * a limit of its own, 100 messages a portion.
 */
const FETCH_BYTES_MAX = 2 * 1024 * 1024;
const RETRY_MS = 250;
/** What so many consumers, made for it, do not deliver is not on the stream. */
const HOLES_MAX = 3;

/** @param isFirst of this outage: to be said once, not at every try */
type OnTrouble = (shard: number, error: unknown, isFirst: boolean) => void;

type ReadPlace = [
  shard: number,
  incarnation: string,
  fromSequence: number,
  stop: AbortSignal,
  throughSequence?: number,
];

export class ClickReader {
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #onTrouble: OnTrouble;
  /** Ends each portion that is being waited for. */
  readonly #waits = new Set<() => void>();

  /** @param onTrouble hears at every try why the delivery broke; the reader goes on by itself */
  constructor(client: JetStreamClient, manager: JetStreamManager, onTrouble: OnTrouble) {
    this.#client = client;
    this.#manager = manager;
    this.#onTrouble = onTrouble;
  }

  /**
   * Messages of the stream of this incarnation from `fromSequence` on, for ever or up to `throughSequence`; waits for
   * the broker as long as it takes.
   * @throws StreamGapError where the stream is another one now, went back, or holds the next sequence no more.
   */
  read(...place: ReadPlace): AsyncGenerator<StreamMessage> {
    return this.#read(toStreamMessage, ...place);
  }

  /** As `read`, with all that is kept of a message in the archive. */
  readStored(...place: ReadPlace): AsyncGenerator<StoredMessage> {
    return this.#read(toStoredMessage, ...place);
  }

  async *#read<T>(
    toMessage: (message: JsMsg) => T,
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence = Infinity,
  ): AsyncGenerator<T> {
    let next = fromSequence;
    let consumer: Consumer | undefined;
    let isBroken = false;
    /** Where the delivery had a hole, and how often in a row. */
    let hole = { at: 0, times: 0 };
    try {
      while (!stop.aborted && next <= throughSequence) {
        try {
          consumer ??= await this.#open({ shard, incarnation, next });
          const portion = await consumer.fetch({ max_bytes: FETCH_BYTES_MAX, expires: FETCH_EXPIRES_MS });
          const before = next;
          const cancel = () => void portion.close();
          stop.addEventListener('abort', cancel);
          this.#waits.add(cancel);
          try {
            for await (const message of portion) {
              if (message.seq !== next) throw new DeliveryHole(next, message.seq, 'passed over');
              next += 1;
              yield toMessage(message);
              if (stop.aborted || next > throughSequence) return;
            }
          } finally {
            stop.removeEventListener('abort', cancel);
            this.#waits.delete(cancel);
          }
          if (next === before) await checkNothingWasLost(consumer, next);
          isBroken = false;
        } catch (error) {
          if (error instanceof StreamGapError || stop.aborted) throw error;
          if (error instanceof DeliveryHole && error.how === 'passed over') {
            hole = { at: next, times: hole.at === next ? hole.times + 1 : 1 };
            if (hole.times === HOLES_MAX) throw missing(shard, next);
          }
          this.#onTrouble(shard, error, !isBroken);
          isBroken = true;
          if (consumer !== undefined) discardConsumer(consumer);
          consumer = undefined;
          await Bun.sleep(RETRY_MS);
        }
      }
    } finally {
      if (consumer !== undefined) discardConsumer(consumer);
    }
  }

  /** The connection broke and stands again: nobody waits for what was on its way over the old one. */
  reconnected(): void {
    for (const endWait of this.#waits) endWait();
  }

  /**
   * In the stream of this incarnation the sequence of the first message with this timestamp or a later one, or one up
   * to a millisecond earlier; last + 1 where there is none. The broker compares nanoseconds, which a number of
   * milliseconds cannot hold: a message's timestamp may read as the next millisecond.
   */
  async firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number> {
    const { lastSequence } = await readStreamState(this.#manager, shard);
    const { handle, pending } = await this.#consumer(shard, {
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(Math.max(0, timeMs - 1)).toISOString(),
    });
    try {
      checkIncarnation(shard, incarnation, (await readStreamState(this.#manager, shard)).incarnation);
      if (pending === 0) return lastSequence + 1;
      const message = await handle.next({ expires: FETCH_EXPIRES_MS });
      if (message === null)
        throw new Error(`${clickStream(shard)} did not deliver the first message at ${timeMs}`);
      return message.seq;
    } finally {
      discardConsumer(handle);
    }
  }

  /**
   * A consumer from there on. The stream is looked at when the consumer is there: a stream that is deleted takes its
   * consumers with it, so this one belongs to the stream that was looked at for as long as it lives.
   */
  async #open(place: StreamPlace): Promise<Consumer> {
    const { shard, next } = place;
    const consumer = await this.#consumer(shard, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: next,
    });
    try {
      checkStream(await readStreamState(this.#manager, shard), place);
      return consumer.handle;
    } catch (error) {
      discardConsumer(consumer.handle);
      throw error;
    }
  }

  #consumer(shard: number, from: Partial<ConsumerConfig>): Promise<ShardConsumer> {
    return openShardConsumer(this.#client, this.#manager, shard, from);
  }
}

/**
 * What was on its way when a connection broke is lost to this consumer, and where nothing comes after it, no later
 * sequence tells. @throws DeliveryHole where the broker thinks that it has delivered what did not come
 */
async function checkNothingWasLost(consumer: Consumer, next: number): Promise<void> {
  const { delivered } = await consumer.info();
  if (delivered.stream_seq >= next) throw new DeliveryHole(next, delivered.stream_seq, 'lost');
}

function missing(shard: number, sequence: number): StreamGapError {
  return new StreamGapError(
    `the stream of shard ${shard} holds no message ${sequence}, though it goes on after it: it was deleted or damaged. Nothing more of this shard is counted: restore a copy of the stream that holds ${sequence}`,
  );
}

/** The consumer skipped something; the stream may still hold it. */
class DeliveryHole extends Error {
  readonly how: 'passed over' | 'lost';

  constructor(expected: number, got: number, how: 'passed over' | 'lost') {
    super(`sequence ${expected} did not come, the broker is at ${got}`);
    this.how = how;
  }
}

function toStreamMessage(message: JsMsg): StreamMessage {
  return { sequence: message.seq, timestampMs: message.info.timestampNanos / 1e6, bytes: message.data };
}

function toStoredMessage(message: JsMsg): StoredMessage {
  return {
    ...toStreamMessage(message),
    timestampNanos: BigInt(message.info.timestampNanos),
    messageId: message.headers?.get(MESSAGE_ID_HEADER) || undefined,
  };
}
