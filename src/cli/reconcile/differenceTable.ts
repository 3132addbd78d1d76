/** Differences as people read them, a line a window, and as programs do, a JSON object a line. Pure. */
import {
  type AdDifference,
  differingCounts,
  type ShardDifference,
  type WindowDifference,
  type WindowTotals,
} from '../../domain/difference.ts';
import type { WindowCounts } from '../../domain/windowCounts.ts';
import { formatCount, formatCountOf, formatMinute, printable } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';

const COLUMNS: readonly PlainColumn[] = [
  { head: 'ad', align: 'left' },
  { head: 'minute (UTC)', align: 'left' },
  { head: 'stored -> recounted', align: 'left' },
  { head: 'why', align: 'left' },
];
const AD_COLUMNS: readonly PlainColumn[] = [
  { head: 'ad', align: 'left' },
  { head: 'windows', align: 'right' },
  { head: 'stored -> judged again, all windows', align: 'left' },
];
const AD_CHARACTERS = 24;
export const NEEDS_LONGER = 'late repeats taken out by a longer reconcile: needs one as long';
const FINGERPRINTS: readonly (keyof WindowCounts)[] = ['fingerprintHigh', 'fingerprintLow'];

/** A difference's line of the table. @param rules the rule set by which it was judged again, if any */
export function differenceLine(difference: WindowDifference, rules?: number): readonly string[] {
  const { adId, minute } = difference;
  return [
    shortened(printable(adId)),
    formatMinute(minute),
    whatDiffers(difference),
    whyDiffers(difference, rules),
  ];
}

/** An ad's line of the table of ads. */
export function adDifferenceLine(difference: AdDifference): readonly string[] {
  const { adId, windows } = difference;
  return [shortened(printable(adId)), formatCount(windows), whatDiffers(difference)];
}

export function renderAdDifferences(lines: readonly (readonly string[])[]): string {
  return renderPlainTable(AD_COLUMNS, lines);
}

export function renderDifferences(lines: readonly (readonly string[])[]): string {
  return renderPlainTable(COLUMNS, lines);
}

/** Counts by name; a fingerprint, which says nothing by its value, only where nothing else differs. */
function whatDiffers(difference: Pick<WindowDifference, 'before' | 'after'>): string {
  const { before, after } = difference;
  const counts = differingCounts(difference).filter((name) => !FINGERPRINTS.includes(name));
  if (counts.length === 0) return 'other clicks, equal counts';
  return counts.map((name) => `${name} ${before[name]} -> ${after[name]}`).join(', ');
}

/** Why a window differs, in words. */
function whyDiffers({ late, needsLongerReplay }: WindowDifference, rules?: number): string {
  if (needsLongerReplay) return NEEDS_LONGER;
  if (late === 0)
    return rules === undefined ? 'not what the stream says' : `judged again by rule set ${rules}`;
  return `${formatCountOf(late, 'repeat')} after the dedup horizon`;
}

export function shardDifferenceLine({ shard, what, stored, recounted }: ShardDifference): string {
  return `shard ${shard}: ${formatCount(stored)} ${what.replace('_', ' ')} in its row, ${formatCount(recounted)} on its stream`;
}

/** One line of JSON; sums as texts, because they may be beyond 2^53. */
export function differenceJson(difference: WindowDifference, restated: boolean, rules?: number): string {
  return JSON.stringify({
    kind: 'window',
    ad_id: difference.adId,
    minute: new Date(difference.minute).toISOString(),
    before: windowJson(difference.before),
    after: windowJson(difference.after),
    late: difference.late,
    why: whyDiffers(difference, rules),
    restated,
  });
}

export function adDifferenceJson({ adId, windows, before, after }: AdDifference): string {
  return JSON.stringify({
    kind: 'ad',
    ad_id: adId,
    windows,
    before: windowJson(before),
    after: windowJson(after),
  });
}

export function shardDifferenceJson({ shard, what, stored, recounted }: ShardDifference): string {
  return JSON.stringify({ kind: 'shard', shard, what, stored, recounted });
}

function windowJson({ fingerprintHigh, fingerprintLow, ...counts }: WindowTotals): object {
  return totalsJson({ ...counts, fingerprint_high: fingerprintHigh, fingerprint_low: fingerprintLow });
}

export function totalsJson(totals: Readonly<Record<string, bigint>>): object {
  return Object.fromEntries(Object.entries(totals).map(([name, sum]) => [name, `${sum}`]));
}

export function shortened(text: string): string {
  return text.length <= AD_CHARACTERS ? text : `${text.slice(0, AD_CHARACTERS - 1)}…`;
}
