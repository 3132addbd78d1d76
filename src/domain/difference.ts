/** Where stored counts and a recount part. */
import type { RollupKind } from './dimensions.ts';
import type { DispositionCounts, WindowCounts } from './windowCounts.ts';

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

/**
 * Sums of counts, by the table that has them: hours and days of an ad and minutes of all ads are sums of `ad_minute`, the
 * dimensions of all ads of `ad_dimension`. What `ad_dimension` must be is in the streams alone.
 */
export const ROLLUPS = ['ad_hour', 'ad_day', 'shard_minute', 'ad_dimension', 'shard_dimension'] as const;
export type Rollup = (typeof ROLLUPS)[number];

/** As WindowTotals, without fingerprints. */
export type DispositionTotals = Readonly<Record<keyof DispositionCounts, bigint>>;

export interface RollupDifference {
  readonly rollup: Rollup;
  /** Empty: all ads together. */
  readonly adId: string;
  /** First millisecond of the row's hour, day, minute or quarter of an hour. */
  readonly startMs: number;
  /** undefined: it is not divided by dimensions. */
  readonly kind: RollupKind | undefined;
  readonly value: string;
  readonly value2: string;
  /** What is stored, all shards together. */
  readonly before: DispositionTotals;
  /** What it must be: by the streams, or as the sum of what is stored. */
  readonly after: DispositionTotals;
  /** Windows of the same ad and quarter differ, and it may be that this is the same difference. */
  readonly besideWindows: boolean;
  /** As of a window. */
  readonly needsLongerReplay: boolean;
}

/** What is found, and taken away, together: so nobody sees an ad's windows mended and its sums not. */
export interface Differences {
  readonly windows: readonly WindowDifference[];
  readonly rollups: readonly RollupDifference[];
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
export function differingCounts<Name extends keyof WindowCounts>({
  before,
  after,
}: Readonly<Record<'before' | 'after', Readonly<Record<Name, bigint>>>>): Name[] {
  return (Object.keys(before) as Name[]).filter((name) => before[name] !== after[name]);
}

/** What was compared, and how much of it differs. */
export interface Compared {
  readonly windows: number;
  readonly differing: number;
  /** Late records in the windows compared. */
  readonly late: number;
  readonly rollups: number;
  readonly rollupsDiffering: number;
}
