/** Whether an answer has the status that a caller needs, of every minute asked for, and in words why not. Pure. */
import { type RowStatus, type Settlement, statusOfSpan } from '../domain/settlement.ts';
import type { TimeRange } from '../domain/timeRange.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import type { MergedAggregates } from './mergedAggregates.ts';

/** undefined: every minute of the range has it. */
export function belowLeastStatus(
  { settlement, differing }: Pick<MergedAggregates, 'settlement' | 'differing'>,
  range: TimeRange,
  needed: RowStatus,
): string | undefined {
  if (needed === 'PROVISIONAL') return undefined;
  const borderMs = needed === 'FINAL' ? settlement.closedThroughMs : settlement.settledThroughMs;
  const beyondMs = range.toMs > borderMs ? Math.max(range.fromMs, borderMs) : Infinity;
  const [first] = differing.toSorted((left, right) => left.minute - right.minute);
  if (first !== undefined && first.minute <= beyondMs) {
    const name = `ad ${JSON.stringify(first.adId)}, minute ${shown(first.minute)}`;
    return `${name} is PROVISIONAL, min_status is ${needed}: a replay found that it differs from the streams. It settles when it is restated`;
  }
  if (beyondMs === Infinity) return undefined;
  const status = statusOfSpan(beyondMs + MINUTE_MS, settlement, false);
  return `minute ${shown(beyondMs)} is ${status}, min_status is ${needed}: ${borderWords(needed, settlement)}`;
}

/** The words with which a question about a moment is refused; undefined: all of the range was settled then. */
export function unknownThen({ settledThroughMs }: Settlement, range: TimeRange): string | undefined {
  if (range.toMs <= settledThroughMs) return undefined;
  if (settledThroughMs === -Infinity)
    return 'no minute was settled at as_of_ms, and only settled ones have a past: right is a later as_of_ms';
  return `at as_of_ms minutes were settled only before ${shown(settledThroughMs)} (${settledThroughMs}), and only settled ones have a past: right is a to_ms of at most that, or a later as_of_ms`;
}

function borderWords(needed: RowStatus, { settledThroughMs, closedThroughMs }: Settlement): string {
  const [borderMs, what, then] =
    needed === 'FINAL'
      ? [closedThroughMs, 'final', 'its billing period is closed']
      : [settledThroughMs, 'settled', 'a reconcile has settled it'];
  if (borderMs === -Infinity) return `no minute is ${what} yet`;
  return `minutes are ${what} before ${shown(borderMs)} (${borderMs}). Right is a to_ms of at most that, or to ask again when ${then}`;
}

function shown(ms: number): string {
  return new Date(ms).toISOString();
}
