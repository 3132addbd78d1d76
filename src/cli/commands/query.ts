/** `clickledger query`: the counts of ads over time, as a table or as JSON. */
import { Argument, Command, Option } from 'commander';
import type { AggregateRow__Output } from '../../contract/generated/clickledger/v1/AggregateRow.ts';
import type { QueryAggregatesRequest } from '../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import { GRANULARITIES, type Granularity } from '../../domain/granularity.ts';
import { ROW_STATUSES, type RowStatus } from '../../domain/settlement.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { renderAsOf, renderFreshness, renderNothing, renderRows } from '../query/aggregateTable.ts';
import { askQuery } from '../query/askQuery.ts';
import { type AdOptions, adFields, listOf, stepOf, withAdOptions } from '../query/questionOptions.ts';
import { parseMoment, parseTimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

/** Of one page; all pages are asked for. */
const PAGE_ROWS = 50_000;

interface QueryOptions extends AdOptions {
  readonly from: string;
  readonly to: string;
  readonly granularity: string;
  readonly timeZone: string;
  readonly groupBy: string[];
  readonly metrics: string[];
  readonly orderBy: string;
  readonly fill?: boolean;
  readonly minStatus?: string;
  readonly asOf?: string;
  readonly json?: boolean;
}

export function queryCommand(): Command {
  const command = new Command('query')
    .description('show the counts of ads')
    .addArgument(new Argument('[ad-ids...]', 'the ads; none: all of them together'))
    .option(
      '--from <time>',
      'now, a span back such as -7d, or an ISO 8601 time (UTC where it names no zone)',
      '-1h',
    )
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .addOption(
      new Option('--granularity <width>', 'width of a row')
        .choices(GRANULARITIES.map((name) => name.toLowerCase()))
        .default('minute'),
    )
    .addOption(
      new Option('--min-status <status>', 'fail where a minute of the range has less').choices(
        ROW_STATUSES.map((name) => name.toLowerCase()),
      ),
    )
    .option('--as-of <time>', 'the counts as they stood then; only of minutes that were settled')
    .option('--time-zone <name>', 'whose hours, days, weeks and months, such as Asia/Kathmandu', 'UTC')
    .option(
      '--group-by <dimensions>',
      'what rows are divided by besides time, such as country or ad_id,os; total: not at all',
      listOf,
      [],
    )
    .option('--metrics <names>', 'which counts, such as clicks,gross_clicks; the others are 0', listOf, [])
    .option('--order-by <metric>', 'such as clicks or "clicks desc"', 'time')
    .option('--fill', 'rows of zeros where nothing was counted, too')
    .option('--json', 'print the answer as the query service gave it');
  return withAdOptions(command).addHelpText('after', HELP).action(query);
}

const HELP = `
Exit codes: 0 answered; 2 not: wrong use, less than --min-status, or the query service is away.

Examples:
  ./clickledger query shoes hats --from -7d --granularity day
  ./clickledger query --group-by country,device_type --from -1d --granularity day --time-zone Asia/Kathmandu --order-by "clicks desc"
  ./clickledger query --campaigns spring --filter os=iOS,Android --from -7d --granularity day
  ./clickledger query shoes --from 2026-10-01 --to 2026-11-01 --granularity month --min-status final`;

async function query(adIds: readonly string[], options: QueryOptions): Promise<void> {
  endWithClosedPipe();
  const nowMs = Date.now();
  const { groupBy, filter, timeZone } = options;
  const range = parseTimeRange(options.from, options.to, nowMs, stepOf(groupBy, filter));
  const granularity = options.granularity.toUpperCase() as Granularity;
  const asOfMs = options.asOf === undefined ? undefined : parseMoment('--as-of', options.asOf, nowMs);
  const answer = await ask({
    ...adFields(adIds, options),
    from_ms: range.fromMs,
    to_ms: range.toMs,
    granularity,
    time_zone: timeZone,
    group_by: groupBy,
    metrics: options.metrics,
    order_by: options.orderBy,
    fill: options.fill === true,
    ...(options.minStatus !== undefined && { min_status: options.minStatus.toUpperCase() as RowStatus }),
    ...(asOfMs !== undefined && { as_of_ms: asOfMs }),
  });
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  print(
    answer.rows.length === 0 ? renderNothing(adIds, range) : renderRows(answer.rows, granularity, timeZone),
  );
  print(asOfMs === undefined ? renderFreshness(answer.info, nowMs) : renderAsOf(asOfMs));
}

/** All rows, page by page. */
async function ask(request: QueryAggregatesRequest): Promise<QueryAggregatesResponse__Output> {
  return askQuery(async (client) => {
    const rows: AggregateRow__Output[] = [];
    for (let page_token = ''; ; ) {
      const page = await client.queryAggregates({ ...request, page_size: PAGE_ROWS, page_token });
      for (const row of page.rows) rows.push(row);
      if (page.next_page_token === '') return { ...page, rows };
      page_token = page.next_page_token;
    }
  });
}
