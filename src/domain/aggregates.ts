/** What a query reads: stored counts with the checkpoints of the same moment, and the owners' unflushed deltas. */
import type { DispositionCounts } from './windowCounts.ts';

/** Stored counts of one ad in one bucket (a minute, hour, day or month). */
export interface StoredRow extends DispositionCounts {
  readonly adId: string;
  /** First millisecond of the bucket. */
  readonly bucketMs: number;
}

export interface OwnedCheckpoint {
  readonly shard: number;
  /** undefined: nobody owns the shard. */
  readonly owner: string | undefined;
  readonly epoch: number;
  /** The owner's random word; undefined: nobody has owned the shard yet. */
  readonly claim: string | undefined;
  readonly floor: number;
  readonly arrivedThroughMs: number;
}

export interface StoredAggregates {
  readonly rows: readonly StoredRow[];
  readonly checkpoints: readonly OwnedCheckpoint[];
}

/** Which unflushed deltas a query wants. The range is half-open, on whole minutes. */
export interface LiveRequest {
  readonly adIds: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** An owner's unflushed delta of one shard, relative to the checkpoint (epoch, claim, floor). */
export interface LiveDelta {
  readonly shard: number;
  readonly epoch: number;
  readonly claim: string;
  readonly floor: number;
  readonly arrivedThroughMs: number;
  readonly rows: readonly LiveRow[];
}

/** Unflushed counts of one ad in one minute window. */
export interface LiveRow extends DispositionCounts {
  readonly adId: string;
  readonly minute: number;
}
