/**
 * Group commit: clicks of a shard that arrive while that shard's batch is on its way to disk gather, and leave
 * together as one message when it is there. Self-clocked, without a timer: batches grow with the load, and a lone
 * click leaves at the end of its event-loop turn. Only a few messages of all shards together are on their way: what a message
 * costs (a disk sync most of all) is shared by the more clicks the longer the others wait.
 *
 * Owns what is not yet confirmed. I1: `submit` answers only when the clicks are on disk: JetStream's, or the spool's
 * where JetStream does not confirm in time. From then on that shard's batches go to the spool at once, until one of
 * them got through (`delivered`): nobody waits for a broker that is away. I14: what waits is bounded; beyond, the
 * caller is told.
 */
import type { PublishedBatch } from '../domain/position.ts';
import type { Timers } from '../domain/timers.ts';
import type { Log, PublishBatch } from './ports.ts';
import type { Spool } from './spool.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

/** A message of this size and one parcel more (parcels.ts) stays well below the broker's limit of 1 MiB. */
const BATCH_BYTES_MAX = 512 * 1024;
const BATCH_RECORDS_MAX = 8_000;
/** Bytes that may wait for one shard. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
const MESSAGES_IN_FLIGHT_MAX = 4;
/** A message that takes longer holds up no other shard any more: a slow broker gets as many messages as there are shards. */
const SLOW_MS = 20;

export interface GroupCommitParts {
  readonly publish: PublishBatch;
  readonly spool: Pick<Spool, 'append'>;
  /** One message's bytes, of the bytes of its records. */
  readonly encodeBatch: (records: readonly Uint8Array[]) => Uint8Array;
  readonly newBatchId: () => string;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly timers: Pick<Timers, 'nextTurn' | 'pause'>;
  readonly log: Log;
}

/** Where a parcel's first record stands, the others follow it; or that it is in the spool. */
export type Committed =
  | { readonly incarnation: string; readonly sequence: number; readonly firstIndex: number }
  | 'spooled';

interface Waiting {
  readonly records: readonly Uint8Array[];
  readonly bytes: number;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  waiting: Waiting[];
  waitingBytes: number;
  /** It waits for its turn, or has a batch on its way. */
  isBusy: boolean;
  /** JetStream does not confirm this shard's batches, and the spool holds one of them. */
  away: boolean;
}

export class GroupCommit {
  readonly #parts: GroupCommitParts;
  readonly #lanes = new Map<number, Lane>();
  /** In the order in which they send. */
  readonly #queue: [shard: number, lane: Lane][] = [];
  /** Those with a batch on its way, and since when, milliseconds. */
  readonly #sending = new Map<Lane, number>();
  #isWatching = false;

  constructor(parts: GroupCommitParts) {
    this.#parts = parts;
  }

  /**
   * Publishes records of one shard together, in order; returns when they are durable.
   * @throws UnavailableError, OverloadedError
   */
  submit(shard: number, records: readonly Uint8Array[]): Promise<Committed> {
    const lane = this.#laneOf(shard);
    let bytes = 0;
    for (const record of records) bytes += record.length;
    if (lane.waitingBytes + bytes > WAITING_BYTES_MAX) {
      return Promise.reject(
        new OverloadedError(
          `${lane.waitingBytes} bytes of clicks wait for shard ${shard} already, at most ${WAITING_BYTES_MAX} may`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      lane.waiting.push({ records, bytes, resolve, reject });
      lane.waitingBytes += bytes;
      this.#schedule(shard, lane);
    });
  }

  #laneOf(shard: number): Lane {
    let lane = this.#lanes.get(shard);
    if (lane === undefined) {
      lane = { waiting: [], waitingBytes: 0, isBusy: false, away: false };
      this.#lanes.set(shard, lane);
    }
    return lane;
  }

  /** One batch of a shard is on its way at a time; the shards take turns. */
  #schedule(shard: number, lane: Lane): void {
    if (!lane.isBusy && lane.waiting.length > 0) {
      lane.isBusy = true;
      this.#queue.push([shard, lane]);
    }
    this.#serve();
  }

  #serve(): void {
    while (this.#hasRoom()) {
      const turn = this.#queue.shift();
      if (turn === undefined) return;
      const [shard, lane] = turn;
      this.#sending.set(lane, this.#parts.clock());
      this.#parts.timers.nextTurn(() => {
        void this.#send(shard, lane, takeBatch(lane)).then(() => {
          lane.isBusy = false;
          this.#sending.delete(lane);
          this.#schedule(shard, lane);
        });
      });
    }
    if (this.#queue.length > 0 && !this.#isWatching) void this.#watch();
  }

  /** Looks again when those on their way may have become slow: no answer and no click may come that would. */
  async #watch(): Promise<void> {
    this.#isWatching = true;
    await this.#parts.timers.pause(SLOW_MS);
    this.#isWatching = false;
    this.#serve();
  }

  #hasRoom(): boolean {
    if (this.#sending.size < MESSAGES_IN_FLIGHT_MAX) return true;
    const nowMs = this.#parts.clock();
    let count = 0;
    for (const sinceMs of this.#sending.values()) if (nowMs - sinceMs < SLOW_MS) count += 1;
    return count < MESSAGES_IN_FLIGHT_MAX;
  }

  async #send(shard: number, lane: Lane, parcels: readonly Waiting[]): Promise<void> {
    try {
      const bytes = this.#parts.encodeBatch(parcels.flatMap(({ records }) => records));
      const published = await this.#makeDurable(shard, lane, bytes);
      let firstIndex = 0;
      for (const { records, resolve } of parcels) {
        resolve(published === 'spooled' ? published : { ...published, firstIndex });
        firstIndex += records.length;
      }
    } catch (error) {
      const told = error instanceof OverloadedError || error instanceof UnavailableError;
      const reason = told
        ? error
        : new UnavailableError('the clicks could not be made durable', { cause: error });
      for (const { reject } of parcels) reject(reason);
    }
  }

  async #makeDurable(shard: number, lane: Lane, bytes: Uint8Array): Promise<PublishedBatch | 'spooled'> {
    const { publish, spool, newBatchId, clock, log } = this.#parts;
    const batchId = newBatchId();
    const madeMs = clock();
    if (!lane.away) {
      try {
        return await publish(shard, bytes, batchId);
      } catch (error) {
        log.error(
          { shard, err: error },
          'JetStream does not confirm clicks; they go to the spool until it does',
        );
      }
    }
    // It may be on the stream all the same: it goes again with the same bytes and id.
    await spool.append({ kind: 'batch', batchId, madeMs, shard, bytes });
    // Only now: what is in the spool is tried again and again, and brings the shard back.
    lane.away = true;
    return 'spooled';
  }

  /** A batch of this shard got through: the next ones go to JetStream again. */
  delivered(shard: number): void {
    const lane = this.#laneOf(shard);
    if (lane.away) this.#parts.log.warn({ shard }, 'JetStream confirms clicks again');
    lane.away = false;
  }
}

function takeBatch(lane: Lane): Waiting[] {
  let bytes = 0;
  let records = 0;
  let count = 0;
  for (const parcel of lane.waiting) {
    if (
      count > 0 &&
      (bytes + parcel.bytes > BATCH_BYTES_MAX || records + parcel.records.length > BATCH_RECORDS_MAX)
    )
      break;
    bytes += parcel.bytes;
    records += parcel.records.length;
    count += 1;
  }
  lane.waitingBytes -= bytes;
  return lane.waiting.splice(0, count);
}
