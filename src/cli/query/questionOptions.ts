/** Options of commands that ask for counts: which ads, which clicks of them, and what the rows are. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Filter } from '../../contract/generated/clickledger/v1/Filter.ts';
import { DIMENSIONS, QUARTER_MS } from '../../domain/dimensions.ts';
import { GRANULARITIES, type Granularity } from '../../domain/granularity.ts';
import { ROW_STATUSES, type RowStatus } from '../../domain/settlement.ts';
import { MINUTE_MS } from '../../domain/windowCounts.ts';
import { parseTimeRange } from './timeRange.ts';

export interface AdOptions {
  readonly campaigns?: string[];
  readonly advertisers?: string[];
  readonly filter: Filter[];
}

export interface RowOptions extends AdOptions {
  readonly from: string;
  readonly to: string;
  readonly granularity: string;
  readonly timeZone: string;
  readonly groupBy: string[];
  readonly metrics: string[];
  readonly minStatus?: string;
}

/** @param from where the range begins if nobody says it */
export function withRowOptions(command: Command, from: string): Command {
  command
    .option(
      '--from <time>',
      'now, a span back such as -7d, or an ISO 8601 time (of --time-zone where it names none)',
      from,
    )
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .addOption(
      new Option('--granularity <width>', 'width of a row')
        .choices(GRANULARITIES.map((name) => name.toLowerCase()))
        .default('minute'),
    )
    .option('--time-zone <name>', 'whose hours, days, weeks and months, such as Asia/Kathmandu', 'UTC')
    .option(
      '--group-by <dimensions>',
      'what rows are divided by besides time, such as country or ad_id,os; total: not at all',
      listOf,
      [],
    )
    .option('--metrics <names>', 'which counts, such as clicks,gross_clicks; none: all', listOf, [])
    .addOption(
      new Option('--min-status <status>', 'fail where a minute of the range has less').choices(
        ROW_STATUSES.map((name) => name.toLowerCase()),
      ),
    );
  return withAdOptions(command);
}

export function withAdOptions(command: Command): Command {
  return command
    .option('--campaigns <ids>', 'of these campaigns instead of ads; commas between', listOf)
    .option('--advertisers <ids>', 'likewise of advertisers', listOf)
    .addOption(filterOption());
}

export function filterOption(): Option {
  return new Option(
    '--filter <dimension=values>',
    'only clicks with these values (os=iOS,Android), or without them (os!=iOS); an empty one: not known. May be repeated',
  )
    .argParser(addFilter)
    .default([], 'all clicks');
}

/** Names with commas between. */
export function listOf(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

export function addFilter(text: string, filters: readonly Filter[]): Filter[] {
  const [, dimension, not, values] = /^([^=!]+)(!?)=(.*)$/s.exec(text) ?? [];
  if (dimension === undefined || values === undefined) {
    throw new InvalidArgumentError(`right is os=iOS,Android or os!=iOS`);
  }
  return [...filters, { dimension: dimension.trim(), [not === '!' ? 'exclude' : 'include']: listOf(values) }];
}

/** The fields of a request that choose ads and clicks. */
export function adFields(adIds: readonly string[], { campaigns = [], advertisers = [], filter }: AdOptions) {
  return {
    ad_ids: [...new Set(adIds)],
    campaign_ids: campaigns,
    advertiser_ids: advertisers,
    filters: filter,
  };
}

/** The fields of a request that say what its rows are. @throws CliError */
export function rowFields(adIds: readonly string[], options: RowOptions, nowMs: number) {
  const { groupBy, filter, timeZone, metrics, minStatus } = options;
  const { fromMs, toMs } = parseTimeRange(options.from, options.to, nowMs, {
    stepMs: stepOf(groupBy, filter),
    timeZone,
  });
  return {
    ...adFields(adIds, options),
    from_ms: fromMs,
    to_ms: toMs,
    granularity: options.granularity.toUpperCase() as Granularity,
    time_zone: timeZone,
    group_by: groupBy,
    metrics,
    ...(minStatus !== undefined && { min_status: minStatus.toUpperCase() as RowStatus }),
  };
}

/** Dimensions of clicks are counted by quarters of an hour. */
export function stepOf(dimensions: readonly string[], filters: readonly Filter[]): number {
  const names = [...dimensions, ...filters.map(({ dimension }) => dimension ?? '')];
  return names.some((name) => (DIMENSIONS as readonly string[]).includes(name)) ? QUARTER_MS : MINUTE_MS;
}
