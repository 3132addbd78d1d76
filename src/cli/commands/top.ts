/** `clickledger top`: the values of a dimension, or the ads, with most clicks. */
import { Argument, Command, Option } from 'commander';
import { GROUP_DIMENSIONS } from '../../domain/groups.ts';
import { COUNTS } from '../../domain/ranking.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { renderFreshness, renderTop } from '../query/aggregateTable.ts';
import { askQuery } from '../query/askQuery.ts';
import { type AdOptions, adFields, stepOf, withAdOptions } from '../query/questionOptions.ts';
import { parseTimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

/** Of the query service. */
const TOP_MAX = 1_000;

interface TopOptions extends AdOptions {
  readonly from: string;
  readonly to: string;
  readonly metric: string;
  readonly count: number;
  readonly json?: boolean;
}

export function topCommand(): Command {
  const command = new Command('top')
    .description('show which ads, countries, devices, … have most clicks')
    .addArgument(new Argument('<dimension>', 'what is ranked').choices(GROUP_DIMENSIONS))
    .argument('[ad-ids...]', 'of these ads only')
    .option('--from <time>', 'as in query', '-1d')
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .addOption(new Option('--metric <count>', 'by which they are ranked').choices(COUNTS).default('clicks'))
    .option('--count <number>', 'how many', wholeNumberOption(1, TOP_MAX), 10)
    .option('--json', 'print the answer as the query service gave it');
  return withAdOptions(command).addHelpText('after', HELP).action(top);
}

const HELP = `
Examples:
  ./clickledger top ad_id --from -7d --count 100
  ./clickledger top country --filter device_type=mobile --from 2026-10-01 --to 2026-11-01`;

async function top(dimension: string, adIds: readonly string[], options: TopOptions): Promise<void> {
  endWithClosedPipe();
  const nowMs = Date.now();
  const { fromMs, toMs } = parseTimeRange(options.from, options.to, nowMs, {
    stepMs: stepOf([dimension], options.filter),
  });
  const answer = await askQuery((client) =>
    client.topN({
      dimension,
      metric: options.metric,
      n: options.count,
      from_ms: fromMs,
      to_ms: toMs,
      ...adFields(adIds, options),
    }),
  );
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  print(renderTop(dimension, answer));
  print(renderFreshness(answer.info, nowMs));
}
