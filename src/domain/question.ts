/**
 * A question about stored counts, as plain data: equal questions are equal text. What is stored for it adds up over parts
 * of its range.
 */
import type { RollupKind } from './dimensions.ts';
import type { BucketWidth } from './granularity.ts';
import {
  type AskedAd,
  clickDimensions,
  type DimensionFilter,
  type GroupDimension,
  isAdDimension,
  kindOf,
} from './groups.ts';
import type { TimeRange } from './timeRange.ts';

export interface Question {
  /** undefined: all ads. */
  readonly ads: readonly AskedAd[] | undefined;
  readonly range: TimeRange;
  readonly width: BucketWidth;
  /** IANA name. */
  readonly timeZone: string;
  /** What rows are divided by, in this order. */
  readonly groupBy: readonly GroupDimension[];
  readonly filters: readonly DimensionFilter[];
}

/** The kind of rollup that it reads; undefined: none, for it asks for no dimension of clicks. */
export function kindAsked({ groupBy, filters }: Question): RollupKind | undefined {
  const dimensions = clickDimensions(groupBy, filters);
  return dimensions.length === 0 ? undefined : kindOf(dimensions);
}

/** Whether all ads have to be looked at one by one: what owners have not flushed is not asked for then. */
export function takesEveryAd({ ads, groupBy, filters }: Question): boolean {
  return ads === undefined && [...groupBy, ...filters.map(({ dimension }) => dimension)].some(isAdDimension);
}
