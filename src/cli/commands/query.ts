/** `clickledger query`: the counts of ads over time, as a table or as JSON. */
import { Argument, Command, Option } from 'commander';
import { explainCallError } from '../../adapters/grpc/callError.ts';
import { queryClient } from '../../adapters/grpc/clients.ts';
import type { QueryAggregatesRequest } from '../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import { GRANULARITIES, type Granularity } from '../../domain/granularity.ts';
import { ROW_STATUSES, type RowStatus } from '../../domain/settlement.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { endpoints } from '../endpoints.ts';
import { renderAsOf, renderFreshness, renderNothing, renderRows } from '../query/aggregateTable.ts';
import { parseMoment, parseTimeRange } from '../query/timeRange.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { print } from '../terminal.ts';

interface QueryOptions {
  readonly from: string;
  readonly to: string;
  readonly granularity: string;
  readonly minStatus?: string;
  readonly asOf?: string;
  readonly json?: boolean;
}

export function queryCommand(): Command {
  return new Command('query')
    .description('show the counts of ads')
    .addArgument(new Argument('<ad-ids...>', 'the ads'))
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
    .option('--json', 'print the answer as the query service gave it')
    .addHelpText('after', HELP)
    .action(query);
}

const HELP = `
Exit codes: 0 answered; 2 not: wrong use, less than --min-status, or the query service is away.

Examples:
  ./clickledger query shoes hats --from -7d --granularity day
  ./clickledger query shoes --from 2026-10-01 --to 2026-11-01 --granularity month --min-status final`;

async function query(adIds: readonly string[], options: QueryOptions): Promise<void> {
  endWithClosedPipe();
  const nowMs = Date.now();
  const range = parseTimeRange(options.from, options.to, nowMs);
  const granularity = options.granularity.toUpperCase() as Granularity;
  const wanted = [...new Set(adIds)];
  const asOfMs = options.asOf === undefined ? undefined : parseMoment('--as-of', options.asOf, nowMs);
  const answer = await ask({
    ad_ids: wanted,
    from_ms: range.fromMs,
    to_ms: range.toMs,
    granularity,
    ...(options.minStatus !== undefined && { min_status: options.minStatus.toUpperCase() as RowStatus }),
    ...(asOfMs !== undefined && { as_of_ms: asOfMs }),
  });
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  print(answer.rows.length === 0 ? renderNothing(wanted, range) : renderRows(answer.rows, granularity));
  print(asOfMs === undefined ? renderFreshness(answer.info, nowMs) : renderAsOf(asOfMs));
}

async function ask(request: QueryAggregatesRequest): Promise<QueryAggregatesResponse__Output> {
  const client = queryClient(endpoints(instanceEnvironment(dataDirectory())).queryAddress);
  try {
    return await client.queryAggregates(request);
  } catch (error) {
    throw new CliError(explainCallError(error, 'the query service', client.address));
  } finally {
    client.close();
  }
}
