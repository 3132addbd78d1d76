/** A QueryAggregatesRequest, read and checked. */
import { invalidArgument } from '../contract/callErrors.ts';
import type { QueryAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { BUCKETS_MAX, Buckets, bucketsIn } from '../domain/buckets.ts';
import { QUARTER_MS } from '../domain/dimensions.ts';
import { GRANULARITIES, type Granularity } from '../domain/granularity.ts';
import { clickDimensions, type DimensionFilter, type GroupDimension } from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import { ROW_STATUSES, type RowStatus } from '../domain/settlement.ts';
import type { TimeRange } from '../domain/timeRange.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import { chooseAds, readSelection, type Selection } from './adSelection.ts';
import { checkRolledUp, readGroupBy } from './askedDivision.ts';
import {
  checkQuarters,
  oneOf,
  readFilters,
  readRange,
  readTimeZone,
  shown,
  TIME_MAX_MS,
} from './askedFields.ts';
import type { ReadAds } from './ports.ts';
import { METRICS, type Metric, type RowOrder } from './rowOrder.ts';

/** Rows of an answer, or of a page. */
export const ROWS_MAX = 50_000;
/** Rows of all pages of a question together. */
export const PAGED_ROWS_MAX = 500_000;

export interface AskedAggregates {
  readonly selection: Selection;
  readonly range: TimeRange;
  readonly granularity: Granularity;
  readonly timeZone: string;
  readonly groupBy: readonly GroupDimension[];
  readonly filters: readonly DimensionFilter[];
  readonly metrics: ReadonlySet<Metric>;
  readonly order: RowOrder;
  /** undefined: all rows in one answer. */
  readonly pageSize: number | undefined;
  readonly fill: boolean;
  readonly minStatus: RowStatus;
  /** undefined: as it is now. */
  readonly asOfMs: number | undefined;
}

/** @throws CallError INVALID_ARGUMENT that names what is wrong */
export function readAggregatesRequest(request: Request): AskedAggregates {
  const selection = readSelection(request);
  const range = readRange(request);
  const granularity = oneOf('granularity', request.granularity, GRANULARITIES);
  const timeZone = readTimeZone(request.time_zone);
  const groupBy = readGroupBy(request.group_by, selection);
  const filters = readFilters(request.filters);
  const asOfMs = readMoment(request.as_of_ms);
  checkRolledUp(groupBy, filters);
  const ofClicks = clickDimensions(groupBy, filters);
  if (ofClicks.length > 0) checkOfClicks(ofClicks.join(', '), range, granularity, asOfMs);
  checkBuckets(range, granularity, timeZone, ofClicks.length > 0 ? QUARTER_MS : MINUTE_MS);
  return {
    selection,
    range,
    granularity,
    timeZone,
    groupBy,
    filters,
    metrics: readMetrics(request.metrics),
    order: readOrder(request.order_by),
    pageSize: readPageSize(request.page_size),
    fill: request.fill,
    minStatus:
      request.min_status === 'ROW_STATUS_UNSPECIFIED'
        ? 'PROVISIONAL'
        : oneOf('min_status', request.min_status, ROW_STATUSES),
    asOfMs,
  };
}

export async function questionOf(asked: AskedAggregates, readAds: ReadAds): Promise<Question> {
  const { selection, range, granularity: width, timeZone, groupBy } = asked;
  const chosen = await chooseAds(selection, groupBy, asked.filters, readAds);
  return { ...chosen, range, width, timeZone, groupBy };
}

function checkOfClicks(
  names: string,
  range: TimeRange,
  granularity: Granularity,
  asOfMs: number | undefined,
): void {
  if (granularity === 'MINUTE') {
    throw invalidArgument(
      `granularity MINUTE is wrong with dimensions of clicks (${names}), which are counted by quarters of an hour: right is HOUR or wider`,
    );
  }
  if (asOfMs !== undefined) {
    throw invalidArgument(
      `as_of_ms ${asOfMs} is wrong with dimensions of clicks (${names}), whose past is not kept: right is a question without it, or without them`,
    );
  }
  checkQuarters(range);
}

/** Counts are stored by minutes, or by quarters of an hour: the zone's clock must not part them. */
function checkBuckets(range: TimeRange, granularity: Granularity, timeZone: string, stepMs: number): void {
  const most = BUCKETS_MAX[granularity];
  const found = bucketsIn(range, granularity);
  if (found > most) {
    throw invalidArgument(
      `to_ms ${range.toMs} is wrong: from ${range.fromMs} to it are ${found} rows of ${granularity} for each group, at most ${most} may be asked for: right is a shorter range or a coarser granularity`,
    );
  }
  const off = new Buckets(range, granularity, timeZone).offGrid(stepMs);
  if (off !== undefined) {
    const step = stepMs === MINUTE_MS ? 'minutes' : 'quarters of an hour';
    throw invalidArgument(
      `time_zone "${timeZone}" is wrong for this range: a ${granularity} of it begins at ${new Date(off).toISOString()}, and counts are stored by ${step} of UTC`,
    );
  }
}

function readMoment(asOfMs: number | undefined): number | undefined {
  if (asOfMs !== undefined && !(Number.isSafeInteger(asOfMs) && asOfMs > 0 && asOfMs <= TIME_MAX_MS)) {
    throw invalidArgument(
      `as_of_ms ${asOfMs} is wrong: it must be milliseconds since 1970, before the year 9999`,
    );
  }
  return asOfMs;
}

function readMetrics(names: readonly string[]): ReadonlySet<Metric> {
  return new Set(names.length === 0 ? METRICS : names.map((name) => oneOf('metrics', name, METRICS)));
}

function readOrder(text: string): RowOrder {
  const [name = '', direction, ...more] = text.split(' ');
  if (name === '' || (name === 'time' && direction === undefined)) {
    return { metric: undefined, isDescending: false };
  }
  const metric = oneOf('order_by', name, ['time', ...METRICS] as const);
  if (metric === 'time' || more.length > 0 || (direction !== undefined && direction !== 'desc')) {
    throw invalidArgument(
      `order_by ${shown(text)} is wrong: it must be "time", or the name of a metric, or that with " desc" behind it`,
    );
  }
  return { metric, isDescending: direction === 'desc' };
}

function readPageSize(size: number): number | undefined {
  if (size < 0 || size > ROWS_MAX) {
    throw invalidArgument(`page_size ${size} is wrong: it must be 0 to ${ROWS_MAX}`);
  }
  return size === 0 ? undefined : size;
}
