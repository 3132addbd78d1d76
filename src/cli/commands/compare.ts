/** `clickledger compare`: some ads against others over the same range, or against themselves over another one. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Filter } from '../../contract/generated/clickledger/v1/Filter.ts';
import type { Side } from '../../contract/generated/clickledger/v1/Side.ts';
import { COUNTS } from '../../domain/ranking.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { askQuery } from '../query/askQuery.ts';
import { type ComparedSide, renderComparison } from '../query/comparison.ts';
import { adFields, filterOption, listOf, stepOf } from '../query/questionOptions.ts';
import { parseTimeRange, type TimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

interface CompareOptions {
  readonly campaigns?: boolean;
  readonly advertisers?: boolean;
  readonly from: string;
  readonly to: string;
  readonly rightFrom?: string;
  readonly rightTo?: string;
  readonly timeZone: string;
  readonly filter: Filter[];
  readonly metric: (typeof COUNTS)[number];
  readonly exposures?: readonly number[];
  readonly json?: boolean;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('hold ads against other ads, or against the range before')
    .argument('[left]', 'ads, with commas between; none: all of them together')
    .argument('[right]', 'other ads, likewise; none: the same ones over as long a range just before')
    .option('--campaigns', 'left and right are campaigns')
    .addOption(new Option('--advertisers', 'left and right are advertisers').conflicts('campaigns'))
    .option('--from <time>', 'as in query', '-7d')
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .option('--right-from <time>', 'another range for the right side, with --right-to')
    .option('--right-to <time>', 'likewise; the range ends before it')
    .option('--time-zone <name>', 'of times that name none', 'UTC')
    .addOption(filterOption())
    .addOption(new Option('--metric <count>', 'what is compared').choices(COUNTS).default('clicks'))
    .option('--exposures <left,right>', 'how often each was shown; none: the lengths of the ranges', pairOf)
    .option('--json', 'print the answer as the query service gave it')
    .addHelpText('after', HELP)
    .action(compare);
}

const HELP = `
Examples:
  ./clickledger compare banner-a banner-b --exposures 120000,118500
  ./clickledger compare shoes,hats --from -1d
  ./clickledger compare spring summer --campaigns --filter os=iOS --metric gross_clicks
  ./clickledger compare shoes --from 2026-11-01 --to 2026-11-08 --right-from 2025-11-01 --right-to 2025-11-08`;

async function compare(
  left: string | undefined,
  right: string | undefined,
  options: CompareOptions,
): Promise<void> {
  endWithClosedPipe();
  const nowMs = Date.now();
  const [range, otherRange] = rangesOf(right === undefined, options, nowMs);
  const [shown, otherShown] = options.exposures ?? [];
  const answer = await askQuery((client) =>
    client.compareAggregates({
      left: side(left, range, options, shown),
      right: side(right ?? left, otherRange, options, otherShown),
      metric: options.metric,
    }),
  );
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  const sides: [ComparedSide, ComparedSide] = [
    { name: left ?? 'all ads', ...range },
    { name: right ?? 'the same', ...otherRange },
  ];
  print(renderComparison(sides, options.metric, answer, nowMs));
}

function side(
  names: string | undefined,
  { fromMs, toMs }: TimeRange,
  { campaigns, advertisers, filter }: CompareOptions,
  exposure: number | undefined,
): Side {
  const ids = names === undefined ? [] : listOf(names);
  const isOther = campaigns === true || advertisers === true;
  return {
    ...adFields(isOther ? [] : ids, {
      campaigns: campaigns === true ? ids : [],
      advertisers: advertisers === true ? ids : [],
      filter,
    }),
    from_ms: fromMs,
    to_ms: toMs,
    ...(exposure !== undefined && { exposure }),
  };
}

function rangesOf(
  isBefore: boolean,
  { from, to, rightFrom, rightTo, timeZone, filter }: CompareOptions,
  nowMs: number,
): [TimeRange, TimeRange] {
  const forms = { stepMs: stepOf([], filter), timeZone };
  const range = parseTimeRange(from, to, nowMs, forms);
  if (rightFrom !== undefined && rightTo !== undefined) {
    return [
      range,
      parseTimeRange(rightFrom, rightTo, nowMs, { ...forms, options: ['--right-from', '--right-to'] }),
    ];
  }
  if (rightFrom !== undefined || rightTo !== undefined) {
    throw new CliError('--right-from and --right-to say a range together: right are both or none');
  }
  if (!isBefore) return [range, range];
  const lengthMs = range.toMs - range.fromMs;
  if (range.fromMs < lengthMs) throw new CliError(`--from ${from} leaves no range before it`);
  return [range, { fromMs: range.fromMs - lengthMs, toMs: range.fromMs }];
}

function pairOf(text: string): readonly number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.length !== 2 || !numbers.every((number) => number > 0)) {
    throw new InvalidArgumentError('right are two numbers above 0, such as 120000,118500');
  }
  return numbers;
}
