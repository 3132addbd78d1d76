/**
 * `clickledger sim`: the seeded simulator of `test/sim`, which runs the code of gateways and actors through crashes,
 * lost answers, stale servers and wrong clocks, and compares what was counted with a plain count. Exit code 1 where a
 * seed went wrong.
 */
import { SingleBar } from 'cli-progress';
import { Command, Option } from 'commander';
import { formatCount, formatCountOf, formatSpan } from '../format.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { runSeeds, type SimReport } from '../sim/simWorkers.ts';
import { isTty, print, styled } from '../terminal.ts';

const SEEDS_DEFAULT = 2_000;
const SEED_MAX = 2 ** 32 - 1;
const SEEDS_SHOWN_MAX = 10;

interface SimOptions {
  readonly seeds?: number;
  readonly seed?: number;
}

export function simCommand(): Command {
  return new Command('sim')
    .description(
      'simulate crashes, lost answers and wrong clocks, and check that every click is counted once',
    )
    .addOption(
      new Option(
        '--seeds <count>',
        `how many runs, from seed 1 or --seed on (default: ${SEEDS_DEFAULT})`,
      ).argParser(wholeNumberOption(1, SEED_MAX)),
    )
    .addOption(
      new Option(
        '--seed <seed>',
        'where to begin; without --seeds, play this one run again and show what happens in it',
      ).argParser(wholeNumberOption(1, SEED_MAX)),
    )
    .action(({ seeds, seed }: SimOptions) =>
      seed !== undefined && seeds === undefined ? replay(seed) : simulate(seed ?? 1, seeds ?? SEEDS_DEFAULT),
    );
}

async function simulate(first: number, seeds: number): Promise<void> {
  const startedMs = performance.now();
  const sums = { seeds: 0, clicks: 0, mishaps: 0 };
  let wrong = 0;
  const bar = new SingleBar({
    format:
      'simulating {bar} {percentage} % | {value} of {total} seeds | {duration_formatted} | {eta_formatted} left',
    hideCursor: true,
  });
  if (isTty()) bar.start(seeds, 0);
  await runSeeds({ first, end: first + seeds }, (report) => {
    if (report.kind === 'progress') {
      sums.seeds += report.seeds;
      sums.clicks += report.clicks;
      sums.mishaps += report.mishaps;
      bar.update(sums.seeds);
    }
    if (report.kind !== 'violations') return;
    wrong += 1;
    if (wrong <= SEEDS_SHOWN_MAX) showViolations(report);
  });
  bar.stop();
  const outcome =
    wrong === 0 ? styled('green', 'no violation') : styled('red', `${formatCount(wrong)} violated`);
  print(
    `${formatCountOf(sums.seeds, 'seed')}, ${outcome}: ${formatCount(sums.clicks)} clicks, ${formatCount(sums.mishaps)} mishaps in ${formatSpan(performance.now() - startedMs)}`,
  );
  process.exit(wrong === 0 ? 0 : 1);
}

function showViolations({ seed, violations }: Extract<SimReport, { kind: 'violations' }>): void {
  print(styled('red', `seed ${seed} went wrong; play it again with ./clickledger sim --seed ${seed}`));
  for (const violation of violations) print(`  ${violation}`);
}

async function replay(seed: number): Promise<void> {
  let wrong = false;
  await runSeeds({ first: seed, end: seed + 1, trace: true }, (report) => {
    if (report.kind === 'trace') print(report.line);
    if (report.kind !== 'violations') return;
    wrong = true;
    showViolations(report);
  });
  if (!wrong) print(`seed ${seed}: ${styled('green', 'no violation')}`);
  process.exit(wrong ? 1 : 0);
}
