/**
 * Dimensions of clicks, and which of their values are counted together: the kinds of rollup. A dimension that stands in
 * a pair has no rollup of its own, because the pair's rows add up to it (I10).
 */
import type { DispositionCounts } from './windowCounts.ts';

export const DIMENSIONS = [
  'country',
  'region',
  'device_type',
  'os',
  'browser',
  'referrer_domain',
  'publisher_id',
  'placement_id',
  'creative_id',
] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** The values of one click; an empty text: not known. */
export type ClickDimensions = Readonly<Record<Dimension, string>>;

/** By the number that stands for the kind in PostgreSQL: never renumber. */
export const ROLLUP_KINDS = {
  1: ['country', 'device_type'],
  2: ['publisher_id', 'country'],
  3: ['region'],
  4: ['os'],
  5: ['browser'],
  6: ['referrer_domain'],
  7: ['placement_id'],
  8: ['creative_id'],
} as const satisfies Record<number, readonly [Dimension] | readonly [Dimension, Dimension]>;
export type RollupKind = keyof typeof ROLLUP_KINDS;

/**
 * The width of a rollup's rows: days of Asia/Kathmandu begin 15 minutes after an hour of UTC, and every zone's offset is
 * a multiple of this today.
 */
export const QUARTER_MS = 15 * 60_000;

/** The quarter of an hour that holds this moment: its first millisecond. */
export function quarterOf(timeMs: number): number {
  return Math.floor(timeMs / QUARTER_MS) * QUARTER_MS;
}

/**
 * What is counted of one ad in a quarter of an hour of one kind's values. Rows of which no value is known are not kept:
 * they are what the ad's clicks have beyond the rows that are.
 */
export interface RollupRow extends DispositionCounts {
  readonly adId: string;
  /** First millisecond. */
  readonly quarter: number;
  readonly kind: RollupKind;
  readonly value: string;
  /** Of the pair's second dimension; empty where the kind has one. */
  readonly value2: string;
}
