/** Where stored counts and a recount part. */
import type { WindowCounts } from './windowCounts.ts';

/** Sums as PostgreSQL has them: those of others may lie beyond 2^53, wrong ones anywhere. */
export type WindowTotals = Readonly<Record<keyof WindowCounts, bigint>>;

export interface WindowDifference {
  readonly adId: string;
  /** First millisecond of the minute window. */
  readonly minute: number;
  /** What is stored, as of the floors to which the streams were read. */
  readonly before: WindowTotals;
  /** What the streams say. */
  readonly after: WindowTotals;
  /** Records that live counting could not recognise any more, and counted as new. */
  readonly late: number;
  /**
   * A recount that began earlier has taken late repeats out of this window. This one cannot see what they repeat, so it
   * cannot say what is right.
   */
  readonly needsLongerReplay: boolean;
}

/** The differences of an ad's windows, added up. */
export interface AdDifference extends Pick<WindowDifference, 'adId' | 'before' | 'after'> {
  readonly windows: number;
}

/** A shard's sums of its whole stream. Nothing is billed on them, and a recount does not change them. */
export interface ShardDifference {
  readonly shard: number;
  readonly what: 'records' | 'dead_letters';
  /** In the shard's row. */
  readonly stored: number;
  readonly recounted: number;
}

/** The counts that differ, in their usual order. */
export function differingCounts({
  before,
  after,
}: Pick<WindowDifference, 'before' | 'after'>): (keyof WindowCounts)[] {
  return (Object.keys(before) as (keyof WindowCounts)[]).filter((name) => before[name] !== after[name]);
}

export interface ComparedWindows {
  readonly windows: number;
  readonly differing: number;
  /** Late records in the windows compared. */
  readonly late: number;
}
