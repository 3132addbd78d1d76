/** `clickledger query`: the counts of ads over time, as a table or as JSON. */
import { Argument, Command } from 'commander';
import type { AggregateRow__Output } from '../../contract/generated/clickledger/v1/AggregateRow.ts';
import type { QueryAggregatesRequest } from '../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { renderAsOf, renderFreshness, renderNothing, renderRows } from '../query/aggregateTable.ts';
import { askQuery } from '../query/askQuery.ts';
import { type RowOptions, rowFields, withRowOptions } from '../query/questionOptions.ts';
import { parseMoment } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

/** Of one page; all pages are asked for. */
const PAGE_ROWS = 50_000;

interface QueryOptions extends RowOptions {
  readonly orderBy: string;
  readonly fill?: boolean;
  readonly asOf?: string;
  readonly json?: boolean;
}

export function queryCommand(): Command {
  const command = new Command('query')
    .description('show the counts of ads')
    .addArgument(new Argument('[ad-ids...]', 'the ads; none: all of them together'));
  return withRowOptions(command, '-1h')
    .option('--as-of <time>', 'the counts as they stood then; only of minutes that were settled')
    .option('--order-by <metric>', 'such as clicks or "clicks desc"', 'time')
    .option('--fill', 'rows of zeros where nothing was counted, too')
    .option('--json', 'print the answer as the query service gave it')
    .addHelpText('after', HELP)
    .action(query);
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
  const { timeZone, metrics } = options;
  const rows = rowFields(adIds, options, nowMs);
  const asOfMs =
    options.asOf === undefined ? undefined : parseMoment('--as-of', options.asOf, nowMs, timeZone);
  const answer = await ask({
    ...rows,
    order_by: options.orderBy,
    fill: options.fill === true,
    ...(asOfMs !== undefined && { as_of_ms: asOfMs }),
  });
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  print(
    answer.rows.length === 0
      ? renderNothing(adIds, { fromMs: rows.from_ms, toMs: rows.to_ms })
      : renderRows(answer.rows, { granularity: rows.granularity, timeZone, metrics }),
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
