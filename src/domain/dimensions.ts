/**
 * Dimensions of clicks, and which of their values are counted together: the kinds of rollup. A dimension that stands in
 * a pair has no rollup of its own, because the pair's rows add up to it (I10).
 */
import type { ClickContext } from './clickRecord.ts';
import { CLICK_TEXT_BYTES_MAX, cut } from './limits.ts';
import { referrerDomain } from './referrerDomain.ts';
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

/** Nothing is known: the one object for it. */
export const NO_DIMENSIONS: ClickDimensions = Object.freeze({
  country: '',
  region: '',
  device_type: '',
  os: '',
  browser: '',
  referrer_domain: '',
  publisher_id: '',
  placement_id: '',
  creative_id: '',
});

/** The dimensions of a click by what its record says. */
export function dimensionsOf(
  context: Omit<ClickContext, 'userKey' | 'source' | 'attributes'>,
): ClickDimensions {
  const dimensions = {
    country: storable(context.country, CLICK_TEXT_BYTES_MAX.country),
    region: storable(context.region, CLICK_TEXT_BYTES_MAX.region),
    device_type: storable(context.deviceType, CLICK_TEXT_BYTES_MAX.device_type),
    os: storable(context.os, CLICK_TEXT_BYTES_MAX.os),
    browser: storable(context.browser, CLICK_TEXT_BYTES_MAX.browser),
    referrer_domain: referrerDomain(context.referrer),
    publisher_id: storable(context.publisherId, CLICK_TEXT_BYTES_MAX.publisher_id),
    placement_id: storable(context.placementId, CLICK_TEXT_BYTES_MAX.placement_id),
    creative_id: storable(context.creativeId, CLICK_TEXT_BYTES_MAX.creative_id),
  };
  return Object.values(dimensions).every((value) => value === '') ? NO_DIMENSIONS : dimensions;
}

/** PostgreSQL stores no NUL in a text; and gateways keep the lengths, but anything may stand on a stream. */
function storable(text: string, bytesMax: number): string {
  return cut(text.replaceAll('\0', '\ufffd'), bytesMax);
}

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

export const ALL_ROLLUP_KINDS = Object.keys(ROLLUP_KINDS).map(Number) as readonly RollupKind[];

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
