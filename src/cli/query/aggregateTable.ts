/** The answer of the query service as a table, with totals and how fresh it is. Pure. */
import type { AggregateInfo__Output } from '../../contract/generated/clickledger/v1/AggregateInfo.ts';
import type { AggregateRow__Output } from '../../contract/generated/clickledger/v1/AggregateRow.ts';
import type { Metrics__Output } from '../../contract/generated/clickledger/v1/Metrics.ts';
import type { TopNResponse__Output } from '../../contract/generated/clickledger/v1/TopNResponse.ts';
import type { Granularity } from '../../domain/granularity.ts';
import { formatCount, formatCountOf, formatMinute, formatSecond, formatSpan } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { styled } from '../terminal.ts';
import type { TimeRange } from './timeRange.ts';

type Rate = Extract<keyof Metrics__Output, `${string}_rate`>;
type Count = Exclude<keyof Metrics__Output, Rate>;

interface CountColumn {
  readonly head: string;
  readonly metric: Count;
}

/** Columns of counts, in the order in which people read a bill: what counts first. */
const COLUMNS: readonly CountColumn[] = [
  { head: 'clicks', metric: 'clicks' },
  { head: 'gross', metric: 'gross_clicks' },
  { head: 'repeat', metric: 'repeat_clicks' },
  { head: 'GIVT', metric: 'general_invalid_clicks' },
  { head: 'SIVT', metric: 'sophisticated_invalid_clicks' },
  { head: 'defective', metric: 'defective_clicks' },
  { head: 'test', metric: 'test_clicks' },
];

/** Shown where they are asked for. */
const RATES: readonly { readonly head: string; readonly metric: Rate }[] = [
  { head: 'repeat %', metric: 'repeat_rate' },
  { head: 'invalid %', metric: 'invalid_rate' },
];

/** So many characters of an ISO time name a row of that width. */
const TIME_LENGTH: Readonly<Record<Granularity, number>> = {
  MINUTE: 16,
  HOUR: 16,
  DAY: 10,
  WEEK: 10,
  MONTH: 7,
};

export interface TableForm {
  readonly granularity: Granularity;
  /** In which times are shown. */
  readonly timeZone: string;
  /** Names of the counts and rates that were asked for; none: all counts. */
  readonly metrics: readonly string[];
}

export function renderRows(
  rows: readonly AggregateRow__Output[],
  { granularity, timeZone, metrics: names }: TableForm,
): string {
  const counted = COLUMNS.filter(({ metric }) => names.length === 0 || names.includes(metric));
  const rates = RATES.filter(({ metric }) => names.includes(metric));
  const groups = groupHeads(rows[0]);
  const columns: PlainColumn[] = [
    ...groups.map((head): PlainColumn => ({ head, align: 'left' })),
    { head: `time (${timeZone})`, align: 'left' },
    ...[...counted, ...rates].map(({ head }): PlainColumn => ({ head, align: 'right' })),
    { head: 'status', align: 'left' },
  ];
  const lines = rows.map(({ ad_id, group, from_ms, metrics, status, revision }) => [
    ...(group.length > 0 ? group.map(({ value }) => shownValue(value)) : groups.map(() => ad_id)),
    formatMinute(from_ms + offsetMs(from_ms, timeZone)).slice(0, TIME_LENGTH[granularity]),
    ...counts(counted, (metric) => metrics?.[metric] ?? 0),
    ...rates.map(({ metric }) => percent(metrics?.[metric])),
    revision > 0 ? `${status.toLowerCase()}, revision ${revision}` : status.toLowerCase(),
  ]);
  const total = (metric: Count) => rows.reduce((sum, { metrics }) => sum + (metrics?.[metric] ?? 0), 0);
  const first = [...groups.slice(1).map(() => ''), formatCountOf(rows.length, 'row')];
  const totals = groups.length > 0 ? ['total', ...first] : [`total, ${first.join('')}`];
  const last = [...totals, ...counts(counted, total), ...rates.map(() => ''), ''];
  return renderPlainTable(columns, [...lines, last.map((text) => styled('bold', text))]);
}

function counts(columns: readonly CountColumn[], of: (metric: Count) => number): string[] {
  return columns.map(({ metric }) => formatCount(of(metric)));
}

/** Absent where nothing was counted. */
function percent(rate: unknown): string {
  return typeof rate === 'number' ? (rate * 100).toFixed(2) : '–';
}

/** What stands over the columns of what rows are divided by. */
function groupHeads(row: AggregateRow__Output | undefined): string[] {
  if (row === undefined) return [];
  if (row.group.length > 0)
    return row.group.map(({ dimension }) => (dimension === 'ad_id' ? 'ad' : dimension));
  return row.ad_id === '' ? [] : ['ad'];
}

function shownValue(value: string): string {
  return value === '' ? '(not known)' : value;
}

function offsetMs(ms: number, timeZone: string): number {
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone).offsetNanoseconds / 1e6;
}

/** The largest values of a dimension, and what they have of everything. */
export function renderTop(dimension: string, { entries, total }: TopNResponse__Output): string {
  const columns: PlainColumn[] = [
    { head: dimension === 'ad_id' ? 'ad' : dimension, align: 'left' },
    ...COLUMNS.map(({ head }): PlainColumn => ({ head, align: 'right' })),
  ];
  const lines = entries.map(({ value, metrics }) => [
    shownValue(value),
    ...counts(COLUMNS, (metric) => metrics?.[metric] ?? 0),
  ]);
  const all = ['all', ...counts(COLUMNS, (metric) => total?.[metric] ?? 0)];
  return renderPlainTable(columns, [...lines, all.map((text) => styled('bold', text))]);
}

/** What is said where there are no rows. */
export function renderNothing(adIds: readonly string[], { fromMs, toMs }: TimeRange): string {
  const names = `${adIds.length === 1 ? 'ad' : 'ads'} ${adIds.join(', ')}`;
  const ads = adIds.length === 0 ? 'what was asked for' : names;
  return `no clicks of ${ads} between ${formatMinute(fromMs)} and ${formatMinute(toMs)} UTC`;
}

/** Which moment's counts they are. */
export function renderAsOf(asOfMs: number): string {
  return `as they stood at ${formatSecond(asOfMs)} UTC`;
}

/** How fresh and how complete the counts are. */
export function renderFreshness(info: AggregateInfo__Output | null, nowMs: number): string {
  const arrivedMs = info?.arrived_through_ms ?? 0;
  const fresh =
    arrivedMs === 0
      ? 'how far clicks have been counted is not known yet'
      : `every click until ${formatSecond(arrivedMs)} UTC is counted (${formatSpan(nowMs - arrivedMs)} ago)`;
  if (info?.partial !== true) return fresh;
  const shards = info.missing_shards;
  const names = `${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')}`;
  return `${fresh}\n${styled('yellow', `partial: ${names} did not answer in time; their last seconds are missing`)}`;
}
