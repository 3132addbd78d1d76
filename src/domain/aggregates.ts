/** What a query reads: stored counts with the checkpoints of the same moment, and the owners' unflushed deltas. */
import type { RollupKind, RollupRow } from './dimensions.ts';
import type { Settlement } from './settlement.ts';
import type { DispositionCounts } from './windowCounts.ts';

/** Stored counts of one group in one bucket. */
export interface StoredRow extends DispositionCounts {
  /** The values of the dimensions that the question's rows are divided by, in its order. */
  readonly group: readonly string[];
  /** First moment of the bucket, which may lie before the range. */
  readonly bucketMs: number;
}

/** How often windows of some ads were restated in one bucket. */
export interface RestatedBucket {
  /** The values of the dimensions of ads among those that rows are divided by. */
  readonly ads: readonly string[];
  readonly bucketMs: number;
  readonly revision: number;
}

/** Windows of some ads in one bucket that a replay found to differ: the first of them. None of a closed period. */
export interface DifferingBucket {
  /** As in `RestatedBucket`. */
  readonly ads: readonly string[];
  readonly bucketMs: number;
  readonly adId: string;
  readonly minute: number;
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

/** What is stored and how far it is settled, as of one moment. */
export interface SettledAggregates {
  readonly rows: readonly StoredRow[];
  readonly settlement: Settlement;
  readonly restated: readonly RestatedBucket[];
  readonly differing: readonly DifferingBucket[];
}

export interface StoredAggregates extends SettledAggregates {
  readonly checkpoints: readonly OwnedCheckpoint[];
}

/** Counts as they stood at a moment. */
export type PastAggregates =
  | ({ readonly kind: 'read' } & SettledAggregates)
  /** The moment lies ahead of the database's clock. */
  | { readonly kind: 'future'; readonly nowMs: number }
  /** A change that may have been before the moment is not through yet: it cannot be said now. */
  | { readonly kind: 'pending' };

/** Which unflushed deltas a query wants. The range is half-open, on whole minutes. */
export interface LiveRequest {
  /** undefined: all ads together, in rows of the ad ''. */
  readonly adIds: readonly string[] | undefined;
  readonly fromMs: number;
  readonly toMs: number;
  /** Where a kind is asked for, the range is on whole quarters of an hour. */
  readonly kind?: RollupKind;
}

/** An owner's unflushed delta of one shard, relative to the checkpoint (epoch, claim, floor). */
export interface LiveDelta {
  readonly shard: number;
  readonly epoch: number;
  readonly claim: string;
  readonly floor: number;
  readonly arrivedThroughMs: number;
  readonly rows: readonly LiveRow[];
  /** Of the kind that was asked for. */
  readonly rollups: readonly RollupRow[];
}

/** Unflushed counts of one ad in one minute window. */
export interface LiveRow extends DispositionCounts {
  readonly adId: string;
  readonly minute: number;
}
