/** `clickledger compare`: two ads over the same range, or an ad's range against the one before it. */
import { Command, InvalidArgumentError } from 'commander';
import type { CompareAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { askQuery } from '../query/askQuery.ts';
import { renderComparison } from '../query/comparison.ts';
import { parseTimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

interface CompareOptions {
  readonly from: string;
  readonly to: string;
  readonly metric: string;
  readonly exposures?: readonly number[];
  readonly json?: boolean;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('hold two ads against each other, or one against the range before')
    .argument('<left>', 'an ad')
    .argument('[right]', 'another one; none: the same ad over as long a range just before')
    .option('--from <time>', 'as in query', '-7d')
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .option('--metric <count>', 'what is compared', 'clicks')
    .option('--exposures <left,right>', 'how often each was shown; none: the lengths of the ranges', pairOf)
    .option('--json', 'print the answer as the query service gave it')
    .addHelpText('after', HELP)
    .action(compare);
}

const HELP = `
Examples:
  ./clickledger compare banner-a banner-b --exposures 120000,118500
  ./clickledger compare shoes --from -1d`;

async function compare(left: string, right: string | undefined, options: CompareOptions): Promise<void> {
  endWithClosedPipe();
  const { fromMs, toMs } = parseTimeRange(options.from, options.to, Date.now());
  const beforeMs = right === undefined ? toMs - fromMs : 0;
  if (fromMs < beforeMs) throw new CliError(`--from ${options.from} leaves no range before it`);
  const [shown, otherShown] = options.exposures ?? [];
  const side = (adId: string, backMs: number, exposure: number | undefined) => ({
    ad_ids: [adId],
    from_ms: fromMs - backMs,
    to_ms: toMs - backMs,
    ...(exposure !== undefined && { exposure }),
  });
  const answer: CompareAggregatesResponse__Output = await askQuery((client) =>
    client.compareAggregates({
      left: side(left, 0, shown),
      right: side(right ?? left, beforeMs, otherShown),
      metric: options.metric,
    }),
  );
  const names = [left, right ?? 'before'] as const;
  print(options.json === true ? JSON.stringify(answer, undefined, 2) : renderComparison(names, answer));
}

function pairOf(text: string): readonly number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.length !== 2 || !numbers.every((number) => number > 0)) {
    throw new InvalidArgumentError('right are two numbers above 0, such as 120000,118500');
  }
  return numbers;
}
