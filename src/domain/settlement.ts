/**
 * How far minutes are watched, settled and closed. A status is computed from this, not stored: FINAL before
 * `closedThroughMs`; SETTLED before `settledThroughMs`, but for windows that a replay found to differ; else PROVISIONAL.
 */
import { minuteOf } from './windowCounts.ts';

/** Milliseconds since the Unix epoch, each on a whole minute; -Infinity: nothing yet. */
export interface Settlement {
  /** Changes of minutes before this one are restatements: a run verifies them, or has verified them. */
  readonly watchedThroughMs: number;
  /** Minutes before this one were found equal by a replay, but for the windows that differ. */
  readonly settledThroughMs: number;
  /** Minutes before this one are in closed billing periods. */
  readonly closedThroughMs: number;
}

/** From what can still change to what cannot. */
export const ROW_STATUSES = ['PROVISIONAL', 'SETTLED', 'FINAL'] as const;
export type RowStatus = (typeof ROW_STATUSES)[number];

/** Everything of the shard that arrived before this moment is stored; 0: nothing is known yet. */
export interface ShardArrival {
  readonly shard: number;
  readonly arrivedThroughMs: number;
}

/** What a run that settles has verified, to be written down in one transaction. */
export interface SettlingStep {
  readonly run: number;
  /** One more than the run's last portion of restatements. */
  readonly chunk: number;
  /** Minutes before this one are settled by it. */
  readonly throughMs: number;
  /** Where its minutes began; undefined: at the first. */
  readonly fromMs: number | undefined;
  /** Whether the differences are taken away that it could decide. */
  readonly restated: boolean;
}

/**
 * Minutes before this one may be settled: all shards have counted what arrived until `graceMs` after them (I16).
 * @param arrivals of every shard whose stream exists
 */
export function settleableThroughMs(arrivals: readonly ShardArrival[], graceMs: number): number {
  const slowestMs = Math.min(...arrivals.map(({ arrivedThroughMs }) => arrivedThroughMs));
  if (arrivals.length === 0 || slowestMs === 0) return -Infinity;
  return minuteOf(slowestMs - graceMs);
}

/**
 * The status of a span of minutes of an ad: the least of them.
 * @param endMs first millisecond after it
 * @param differs whether a replay found one of its windows to differ
 */
export function statusOfSpan(endMs: number, settlement: Settlement, differs: boolean): RowStatus {
  if (endMs <= settlement.closedThroughMs) return 'FINAL';
  return endMs <= settlement.settledThroughMs && !differs ? 'SETTLED' : 'PROVISIONAL';
}
