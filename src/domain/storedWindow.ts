/** A window as it is stored, and the recorded changes of windows, as audits read them. */
import type { WindowTotals } from './difference.ts';
import type { CountedShard, ReplayRange } from './replayRange.ts';
import type { Reclassification } from './rulesInForce.ts';
import type { RowStatus } from './settlement.ts';

export interface CheckpointedShard extends Pick<CountedShard, 'shard' | 'incarnation' | 'floor'> {
  /** Everything received before this moment is inside the floor, milliseconds since the Unix epoch. */
  readonly arrivedThroughMs: number;
}

/** With the checkpoints of the same moment. */
export interface StoredWindow {
  /** Its row; zeros where there is none. */
  readonly counts: WindowTotals;
  /** What was booked in later periods. */
  readonly adjustments: WindowTotals;
  readonly status: RowStatus;
  readonly revision: number;
  /** A run that read from before the window on has taken late repeats out of it: a shorter recount cannot see them. */
  readonly needsLongerReplay: boolean;
  readonly shards: readonly CheckpointedShard[];
  /** In the order in which they were made. */
  readonly reclassifications: readonly Reclassification[];
}

export const RESTATEMENT_CAUSES = ['LATE', 'RECONCILE', 'RECLASSIFY', 'MANUAL'] as const;
export type RestatementCause = (typeof RESTATEMENT_CAUSES)[number];

/** Times are milliseconds since the Unix epoch; what is undefined does not matter. */
export interface RestatementSelection {
  readonly adId: string | undefined;
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly appliedFromMs: number | undefined;
  readonly appliedToMs: number | undefined;
  readonly cause: RestatementCause | undefined;
  readonly run: number | undefined;
  readonly bookedInMs: number | undefined;
  /** Only those before this one. */
  readonly beforeId: number | undefined;
}

export interface StoredRestatement {
  readonly id: number;
  readonly adId: string;
  readonly minute: number;
  readonly cause: RestatementCause;
  /** undefined: a flush made it. */
  readonly run: number | undefined;
  readonly before: WindowTotals;
  readonly after: WindowTotals;
  readonly late: number;
  readonly ruleSetVersion: number;
  readonly streams: readonly ReplayRange[];
  /** The window's after it; undefined: it is booked in a later period. */
  readonly revision: number | undefined;
  readonly bookedInMs: number | undefined;
  readonly note: string | undefined;
  readonly appliedMs: number;
}
