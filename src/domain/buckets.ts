/** The buckets of a question: in which row of its time zone a moment is counted, for what is stored and what is not yet. */
import type { BucketWidth, Granularity } from './granularity.ts';
import type { TimeRange } from './timeRange.ts';
import { calendarBorders, hourBorders } from './timeZone.ts';
import { MINUTE_MS, minuteOf } from './windowCounts.ts';

/** So many buckets at most may a range have: a year of minutes, eleven of hours. */
export const BUCKETS_MAX: Readonly<Record<Granularity, number>> = {
  MINUTE: 550_000,
  HOUR: 100_000,
  DAY: 100_000,
  WEEK: 100_000,
  MONTH: 100_000,
};

/** At least so long is nearly every bucket: what a limit is checked by. */
const LENGTH_MS: Readonly<Record<Granularity, number>> = {
  MINUTE: MINUTE_MS,
  HOUR: 3_600_000,
  DAY: 86_400_000,
  WEEK: 7 * 86_400_000,
  MONTH: 28 * 86_400_000,
};

/** About how many buckets of this width a range has; hardly ever fewer than it really has. */
export function bucketsIn({ fromMs, toMs }: TimeRange, granularity: Granularity): number {
  return Math.ceil((toMs - fromMs) / LENGTH_MS[granularity]);
}

export class Buckets {
  readonly #range: TimeRange;
  /**
   * First moments of the buckets that the range touches, and of the first one after it. undefined: minutes, which are the
   * same everywhere.
   */
  readonly borders: readonly number[] | undefined;

  /** @param timeZone its IANA name */
  constructor(range: TimeRange, width: BucketWidth, timeZone: string) {
    this.#range = range;
    const { fromMs, toMs } = range;
    if (width === 'WHOLE') this.borders = [fromMs, toMs];
    else if (width === 'HOUR') this.borders = hourBorders(fromMs, toMs, timeZone);
    else if (width !== 'MINUTE') this.borders = calendarBorders(fromMs, toMs, width, timeZone);
  }

  /** First moment of the bucket of a moment in the range. */
  startOf(timeMs: number): number {
    if (this.borders === undefined) return minuteOf(timeMs);
    return this.borders[this.#indexOf(this.borders, timeMs)] ?? Number.NaN;
  }

  /** First moment after the bucket of a moment in the range. */
  endOf(timeMs: number): number {
    if (this.borders === undefined) return minuteOf(timeMs) + MINUTE_MS;
    return this.borders[this.#indexOf(this.borders, timeMs) + 1] ?? Number.NaN;
  }

  /** What of a bucket is in the range. */
  cut(startMs: number): TimeRange {
    const { fromMs, toMs } = this.#range;
    return { fromMs: Math.max(startMs, fromMs), toMs: Math.min(this.endOf(startMs), toMs) };
  }

  /** First moments of all of them. */
  *starts(): Generator<number> {
    const { fromMs, toMs } = this.#range;
    for (let startMs = this.startOf(fromMs); startMs < toMs; startMs = this.endOf(startMs)) yield startMs;
  }

  /** The first border inside the range that is not on a multiple of this; undefined: all are. */
  offGrid(stepMs: number): number | undefined {
    const { fromMs, toMs } = this.#range;
    return this.borders?.find((border) => border > fromMs && border < toMs && border % stepMs !== 0);
  }

  /** The last border at or before a moment, by halving. */
  #indexOf(borders: readonly number[], timeMs: number): number {
    let low = 0;
    let high = borders.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((borders[middle] ?? Infinity) <= timeMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
