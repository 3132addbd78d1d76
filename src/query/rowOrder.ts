/** The order of rows and the pages of it. A page begins after the last row of the one before, whatever came meanwhile. Pure. */
import { COUNTS, type Count, countOf } from '../domain/ranking.ts';
import type { DispositionCounts } from '../domain/windowCounts.ts';

export const RATES = ['repeat_rate', 'invalid_rate'] as const;
export type Metric = Count | (typeof RATES)[number];
export const METRICS: readonly Metric[] = [...COUNTS, ...RATES];

export interface RowOrder {
  /** undefined: by group, then by time. */
  readonly metric: Metric | undefined;
  readonly isDescending: boolean;
}

/** Where a row stands. */
export interface RowPlace {
  /** Of the metric that rows are ordered by. */
  readonly value: number;
  readonly group: readonly string[];
  readonly bucketMs: number;
}

interface Placed extends DispositionCounts {
  readonly group: readonly string[];
  readonly bucketMs: number;
}

/** undefined: there is nothing that it could be a share of. */
export function metricOf(counts: DispositionCounts, metric: Metric): number | undefined {
  if (metric !== 'repeat_rate' && metric !== 'invalid_rate') return countOf(counts, metric);
  const gross = countOf(counts, 'gross_clicks');
  if (gross === 0) return undefined;
  return (metric === 'repeat_rate' ? counts.repeat : counts.givt + counts.sivt) / gross;
}

export function placeOf(row: Placed, { metric }: RowOrder): RowPlace {
  const { group, bucketMs } = row;
  // No rate at all is less than any.
  return { value: metric === undefined ? 0 : (metricOf(row, metric) ?? -1), group, bucketMs };
}

export function comparePlaces(left: RowPlace, right: RowPlace, { isDescending }: RowOrder): number {
  if (left.value !== right.value) return left.value < right.value === isDescending ? 1 : -1;
  for (let index = 0; index < left.group.length; index++) {
    const [one = '', other = ''] = [left.group[index], right.group[index]];
    if (one !== other) return one < other ? -1 : 1;
  }
  return left.bucketMs - right.bucketMs;
}

/** All rows in order. */
export function inOrder<Row extends Placed>(rows: readonly Row[], order: RowOrder): Row[] {
  return rows
    .map((row) => ({ row, place: placeOf(row, order) }))
    .sort((left, right) => comparePlaces(left.place, right.place, order))
    .map(({ row }) => row);
}
