/**
 * Group commit: clicks of a shard that arrive while that shard's batch is on its way to disk gather, and leave
 * together as one message when it is there. Self-clocked, without a timer: batches grow with the load, and a lone
 * click leaves at the end of its event-loop turn.
 *
 * Owns what is not yet confirmed. I1: `submit` answers only when JetStream has the bytes on disk. I14: what waits is
 * bounded; beyond, the caller is told.
 */

import type { Timers } from '../domain/timers.ts';
import type { Log, PublishBatch } from './ports.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

/** A message of this size and one parcel more stays well below the broker's limit of 1 MiB. */
const BATCH_BYTES_MAX = 512 * 1024;
const BATCH_RECORDS_MAX = 8_000;
/** Largest parcel: callers cut what is larger. */
export const PARCEL_BYTES_MAX = 128 * 1024;
/** Bytes that may wait for one shard. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;

export interface GroupCommitParts {
  readonly publish: PublishBatch;
  /** One message's bytes, of the bytes of its records. */
  readonly encodeBatch: (records: readonly Uint8Array[]) => Uint8Array;
  readonly newBatchId: () => string;
  readonly timers: Pick<Timers, 'nextTurn'>;
  readonly log: Log;
}

/** Where a parcel's first record stands; the others follow it. */
export interface Committed {
  readonly incarnation: string;
  readonly sequence: number;
  readonly firstIndex: number;
}

interface Parcel {
  readonly records: readonly Uint8Array[];
  readonly bytes: number;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: Error) => void;
}

interface Lane {
  waiting: Parcel[];
  waitingBytes: number;
  inFlight: boolean;
  /** The last batch could not be confirmed: said once, not for every batch of an outage. */
  failing: boolean;
}

export class GroupCommit {
  readonly #parts: GroupCommitParts;
  readonly #lanes = new Map<number, Lane>();

  constructor(parts: GroupCommitParts) {
    this.#parts = parts;
  }

  /**
   * Publishes records of one shard together, in order; returns when they are durable.
   * @throws UnavailableError, OverloadedError
   */
  submit(shard: number, records: readonly Uint8Array[]): Promise<Committed> {
    const lane = this.#laneOf(shard);
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
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
      lane = { waiting: [], waitingBytes: 0, inFlight: false, failing: false };
      this.#lanes.set(shard, lane);
    }
    return lane;
  }

  /** One batch of a shard is on its way at a time; the next leaves at the next event-loop turn after it. */
  #schedule(shard: number, lane: Lane): void {
    if (lane.inFlight || lane.waiting.length === 0) return;
    lane.inFlight = true;
    this.#parts.timers.nextTurn(() => {
      void this.#send(shard, lane, takeBatch(lane)).then(() => {
        lane.inFlight = false;
        this.#schedule(shard, lane);
      });
    });
  }

  async #send(shard: number, lane: Lane, parcels: readonly Parcel[]): Promise<void> {
    const { publish, encodeBatch, newBatchId, log } = this.#parts;
    try {
      const bytes = encodeBatch(parcels.flatMap(({ records }) => records));
      const { incarnation, sequence } = await publish(shard, bytes, newBatchId());
      if (lane.failing) log.warn({ shard }, 'clicks are durable again');
      lane.failing = false;
      let firstIndex = 0;
      for (const { records, resolve } of parcels) {
        resolve({ incarnation, sequence, firstIndex });
        firstIndex += records.length;
      }
    } catch (error) {
      if (!lane.failing)
        log.error(
          { shard, err: error },
          'clicks cannot be confirmed as durable; they are refused until they can',
        );
      lane.failing = true;
      for (const { reject } of parcels)
        reject(new UnavailableError('the clicks could not be confirmed as durable', { cause: error }));
    }
  }
}

function takeBatch(lane: Lane): Parcel[] {
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
