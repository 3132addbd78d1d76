/**
 * Which tables answer a range: rows of days and hours where whole ones lie inside a bucket, of minutes at the edges. All
 * are sums of the same deltas (I10), so it does not matter where one ends and the next begins.
 */
import type { Buckets } from './buckets.ts';
import type { TimeRange } from './timeRange.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Each moment of a range is in one span of one of them; in order of time. */
export interface Tiers {
  readonly days: readonly TimeRange[];
  readonly hours: readonly TimeRange[];
  readonly minutes: readonly TimeRange[];
}

/** @param range the one that is divided into buckets, or a part of it */
export function tiersOf(range: TimeRange, buckets: Buckets): Tiers {
  const spans = { days: [] as TimeRange[], hours: [] as TimeRange[], minutes: [] as TimeRange[] };
  if (buckets.borders === undefined) return { ...spans, minutes: [range] };
  for (let fromMs = range.fromMs, toMs: number; fromMs < range.toMs; fromMs = toMs) {
    toMs = Math.min(buckets.endOf(fromMs), range.toMs);
    const [hour, lastHour] = wholes(fromMs, toMs, HOUR_MS);
    const [day, lastDay] = wholes(hour, lastHour, DAY_MS);
    add(spans.minutes, fromMs, hour);
    add(spans.hours, hour, day);
    add(spans.days, day, lastDay);
    add(spans.hours, lastDay, lastHour);
    add(spans.minutes, lastHour, toMs);
  }
  return spans;
}

/** Where whole steps begin and end in it; where there is none, both at its end. */
function wholes(fromMs: number, toMs: number, stepMs: number): [number, number] {
  const first = Math.ceil(fromMs / stepMs) * stepMs;
  const last = Math.floor(toMs / stepMs) * stepMs;
  return first < last ? [first, last] : [toMs, toMs];
}

function add(spans: TimeRange[], fromMs: number, toMs: number): void {
  if (fromMs === toMs) return;
  const last = spans.at(-1);
  if (last?.toMs === fromMs) spans[spans.length - 1] = { fromMs: last.fromMs, toMs };
  else spans.push({ fromMs, toMs });
}
