/** Differences of rollups as people read them, a line a row, and as programs do, a JSON object a line. Pure. */
import { differingCounts, type Rollup, type RollupDifference } from '../../domain/difference.ts';
import { ROLLUP_KINDS } from '../../domain/dimensions.ts';
import { formatMinute, printable } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { NEEDS_LONGER, shortened, totalsJson } from './differenceTable.ts';

const COLUMNS: readonly PlainColumn[] = [
  { head: 'rollup', align: 'left' },
  { head: 'ad', align: 'left' },
  { head: 'from (UTC)', align: 'left' },
  { head: 'clicks of', align: 'left' },
  { head: 'stored -> counted', align: 'left' },
  { head: 'why', align: 'left' },
];

const WHY: Readonly<Record<Rollup, string>> = {
  ad_hour: 'not the sum of its minutes',
  ad_day: 'not the sum of its minutes',
  shard_minute: 'not the sum of its ads',
  ad_dimension: 'not what the stream says',
  shard_dimension: 'not the sum of its ads',
};

export function renderRollupDifferences(lines: readonly (readonly string[])[]): string {
  return renderPlainTable(COLUMNS, lines);
}

/** A difference's line of the table. */
export function rollupDifferenceLine(difference: RollupDifference): readonly string[] {
  const { rollup, adId, startMs, before, after } = difference;
  const counts = differingCounts(difference).map((name) => `${name} ${before[name]} -> ${after[name]}`);
  return [
    rollup,
    adId === '' ? 'all' : shortened(printable(adId)),
    formatMinute(startMs),
    Object.entries(valuesOf(difference))
      .map(([dimension, value]) => `${dimension} ${value === '' ? 'not known' : shortened(printable(value))}`)
      .join(', '),
    counts.join(', '),
    why(difference),
  ];
}

/** One line of JSON; sums as texts, because they may be beyond 2^53. */
export function rollupDifferenceJson(difference: RollupDifference, restated: boolean): string {
  const { rollup, adId, startMs, before, after } = difference;
  return JSON.stringify({
    kind: 'rollup',
    rollup,
    ad_id: adId === '' ? null : adId,
    from: new Date(startMs).toISOString(),
    dimensions: valuesOf(difference),
    before: totalsJson(before),
    after: totalsJson(after),
    why: why(difference),
    restated,
  });
}

function why({ rollup, needsLongerReplay }: RollupDifference): string {
  return needsLongerReplay ? NEEDS_LONGER : WHY[rollup];
}

/** By dimension; none where the rollup is not divided. */
function valuesOf({ kind, value, value2 }: RollupDifference): Record<string, string> {
  if (kind === undefined) return {};
  const values = [value, value2];
  return Object.fromEntries(ROLLUP_KINDS[kind].map((dimension, index) => [dimension, values[index] ?? '']));
}
