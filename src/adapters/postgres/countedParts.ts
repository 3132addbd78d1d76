/**
 * The stored counts of a question, as pieces of SQL whose rows add up to them (I10): columns ad_id ('' for all together),
 * at (a moment in the row's bucket), value and value2 (of a kind of rollup), and the counts.
 *
 * Clicks of which no value of a kind is known have no row: they are everything less the rows that are.
 */
import { Buckets } from '../../domain/buckets.ts';
import { type Dimension, ROLLUP_KINDS, type RollupKind } from '../../domain/dimensions.ts';
import { type DimensionFilter, isClickDimension, passes, placeIn } from '../../domain/groups.ts';
import { kindAsked, type Question, takesEveryAd } from '../../domain/question.ts';
import { tiersOf } from '../../domain/tiers.ts';
import type { TimeRange } from '../../domain/timeRange.ts';
import type { Parameters } from './parameters.ts';
import { eachDisposition } from './rollupRows.ts';

/** More spans than these are read one after the other, so that a statement does not grow with them. */
const SPANS_APART_MAX = 4;

/**
 * @param range the question's, or a part of it
 * @param asOfMs without what was restated since; undefined: as it is now
 */
export function countedParts(
  question: Question,
  range: TimeRange,
  asOfMs: number | undefined,
  parameters: Parameters,
): string {
  const kind = kindAsked(question);
  const totals = function* () {
    yield* totalParts(question, range, parameters);
    if (asOfMs !== undefined) yield sincePart(question, range, asOfMs, parameters);
  };
  const parts = kind === undefined ? totals() : dimensionParts(question, range, kind, totals, parameters);
  return [...parts].join('\n union all ');
}

/** Whether it reads counts of all ads together. */
function isTogether(question: Question): boolean {
  return question.ads === undefined && !takesEveryAd(question);
}

/** `and` with the condition for the question's ads, if it has any. */
export function ofAds({ ads }: Question, parameters: Parameters): string {
  return ads === undefined ? '' : `and ad_id = any(${parameters.add(ads.map(({ ad_id }) => ad_id))}::text[])`;
}

function* totalParts(question: Question, range: TimeRange, parameters: Parameters): Generator<string> {
  const { width, timeZone } = question;
  if (isTogether(question)) {
    yield part('shard_minute', 'minute', `''::text`, within('minute', range, parameters));
    return;
  }
  const { days, hours, minutes } = tiersOf(range, new Buckets(question.range, width, timeZone));
  const condition = ofAds(question, parameters);
  yield* tierParts('ad_day', 'day', days, condition, parameters);
  yield* tierParts('ad_hour', 'hour', hours, condition, parameters);
  yield* tierParts('ad_minute', 'minute', minutes, condition, parameters);
}

function* tierParts(
  table: string,
  column: string,
  spans: readonly TimeRange[],
  condition: string,
  parameters: Parameters,
): Generator<string> {
  if (spans.length <= SPANS_APART_MAX) {
    // Each with its moments known when it is planned: nothing is left in the plan of other days' partitions.
    for (const span of spans) {
      yield part(table, column, 'ad_id', `${within(column, span, parameters)} ${condition}`);
    }
    return;
  }
  const fromMs = spans[0]?.fromMs ?? 0;
  const toMs = spans.at(-1)?.toMs ?? 0;
  const froms = parameters.addMoments(spans.map((span) => span.fromMs));
  const tos = parameters.addMoments(spans.map((span) => span.toMs));
  const all = within(column, { fromMs, toMs }, parameters);
  const one = part(
    table,
    column,
    'ad_id',
    `${all} and ${column} >= span.starts and ${column} < span.ends ${condition}`,
  );
  // "offset 0" keeps it a reading of each span by the table's index, rather than of all rows with all spans.
  yield `select found.* from unnest(${froms}, ${tos}) as span (starts, ends) cross join lateral (${one} offset 0) as found`;
}

function part(table: string, column: string, adId: string, condition: string): string {
  return `select ${adId} as ad_id, ${column} as at, '' as value, '' as value2, ${eachDisposition((name) => name)}
    from ${table} where ${condition}`;
}

function dimensionParts(
  question: Question,
  range: TimeRange,
  kind: RollupKind,
  totals: () => Iterable<string>,
  parameters: Parameters,
): string[] {
  const { filters } = question;
  const together = isTogether(question);
  const known = (values: string, count: (column: string) => string, condition: string) =>
    `select ${together ? `''::text` : 'ad_id'} as ad_id, quarter as at, ${values}, ${eachDisposition(count)}
    from ${together ? 'shard_dimension' : 'ad_dimension'}
    where kind = ${kind} and ${within('quarter', range, parameters)} ${ofAds(question, parameters)} ${condition}`;
  const passing = filters.map((filter) =>
    isClickDimension(filter.dimension) ? passingOf(placeIn(kind, filter.dimension), filter, parameters) : '',
  );
  const parts = [known('value, value2', (column) => column, passing.join(' '))];
  const dimensions: readonly Dimension[] = ROLLUP_KINDS[kind];
  if (dimensions.every((dimension) => passes(filters, dimension, ''))) {
    parts.push(
      ...totals(),
      known(`'' as value, '' as value2`, (column) => `-${column} as ${column}`, ''),
    );
  }
  return parts;
}

/** `and` with what the column's values must be to pass. */
export function passingOf(
  column: string,
  { include, exclude }: DimensionFilter,
  parameters: Parameters,
): string {
  const conditions: string[] = [];
  if (include.length > 0) conditions.push(`and ${column} = any(${parameters.add(include)}::text[])`);
  if (exclude.length > 0) conditions.push(`and ${column} <> all(${parameters.add(exclude)}::text[])`);
  return conditions.join(' ');
}

/** What was restated since, taken away again. */
function sincePart(question: Question, range: TimeRange, asOfMs: number, parameters: Parameters): string {
  return `select ${isTogether(question) ? `''::text` : 'ad_id'} as ad_id, minute as at, '' as value, '' as value2,
      ${eachDisposition((column) => `before_${column} - after_${column} as ${column}`)}
    from restatement
    where ${within('minute', range, parameters)} ${ofAds(question, parameters)}
      and booked_in is null and applied_at > ${parameters.addMoment(asOfMs)}`;
}

/** The column in a half-open range. */
export function within(column: string, { fromMs, toMs }: TimeRange, parameters: Parameters): string {
  return `${column} >= ${parameters.addMoment(fromMs)} and ${column} < ${parameters.addMoment(toMs)}`;
}
