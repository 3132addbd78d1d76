/** `clickledger bench`: figures of this machine, each taken together with what it is to be held against. */
import { Command, Option } from 'commander';
import { median } from '../bench/median.ts';
import { measureReplay, type ReplayRound } from '../bench/replayBench.ts';
import { formatCount } from '../format.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { interrupts } from '../stack/interrupts.ts';
import { print } from '../terminal.ts';

const CLICKS_MAX = 100_000_000;
/** With some 300 bytes a click a message stays below the broker's limit of 1 MiB. */
const CLICKS_A_MESSAGE_MAX = 2_000;
const SHARDS_MAX = 256;
const ROUNDS_MAX = 100;
const EXIT_INTERRUPTED = 130;

interface BenchOptions {
  readonly clicks: number;
  readonly clicksAMessage: number;
  readonly shards: number;
  readonly rounds: number;
}

export function benchCommand(): Command {
  return new Command('bench').description('measure this machine').addCommand(replayCommand());
}

function replayCommand(): Command {
  return new Command('replay')
    .description('how fast reconcile replays what the actors count, on servers of its own')
    .addOption(number('--clicks <count>', 'clicks on the streams', 1, CLICKS_MAX, 500_000))
    .addOption(number('--clicks-a-message <count>', 'in each message', 1, CLICKS_A_MESSAGE_MAX, 75))
    .addOption(number('--shards <count>', 'streams', 1, SHARDS_MAX, 16))
    .addOption(number('--rounds <count>', 'how often; medians are shown in the end', 1, ROUNDS_MAX, 3))
    .addHelpText('after', HELP)
    .action(benchReplay);
}

const HELP = `
live/s: from when the actors are ready until all is stored. replay/s: the median of three runs of reconcile, by its own
figure, from the first message to the last. peak MB: the most that a reconciling process ever had in memory. Only the
ratio means something on a machine that others use too. The data goes to the folder for temporary files, some 300 bytes
a click.`;

function number(flags: string, description: string, min: number, max: number, fallback: number): Option {
  return new Option(flags, description).argParser(wholeNumberOption(min, max)).default(fallback);
}

const COLUMNS: readonly PlainColumn[] = [
  'round',
  'records',
  'windows',
  'live/s',
  'replay/s',
  'times',
  'peak MB',
].map((head) => ({ head, align: head === 'round' ? 'left' : 'right' }));

async function benchReplay({ rounds: count, ...bench }: BenchOptions): Promise<void> {
  const stop = interrupts(() => process.exit(EXIT_INTERRUPTED));
  const rounds: ReplayRound[] = [];
  while (rounds.length < count) rounds.push(await measureReplay(bench, Date.now(), stop));
  const rows = rounds.map((round, index) => cells(`${index + 1}`, round));
  if (count > 1) rows.push(cells('median', medianOf(rounds)));
  print(renderPlainTable(COLUMNS, rows));
}

/** Of each figure by itself, the ratio of each round included. */
function medianOf(rounds: readonly ReplayRound[]): ReplayRound & { times: number } {
  const of = (figure: (round: ReplayRound) => number) => median(rounds.map(figure));
  return {
    records: of(({ records }) => records),
    windows: of(({ windows }) => windows),
    livePerSecond: of(({ livePerSecond }) => livePerSecond),
    replayPerSecond: of(({ replayPerSecond }) => replayPerSecond),
    replayPeakBytes: of(({ replayPeakBytes }) => replayPeakBytes),
    times: of(timesOf),
  };
}

function timesOf({ replayPerSecond, livePerSecond }: ReplayRound): number {
  return replayPerSecond / livePerSecond;
}

function cells(label: string, round: ReplayRound & { times?: number }): string[] {
  return [
    label,
    formatCount(round.records),
    formatCount(round.windows),
    formatCount(round.livePerSecond),
    formatCount(round.replayPerSecond),
    (round.times ?? timesOf(round)).toFixed(1),
    formatCount(round.replayPeakBytes / 1e6),
  ];
}
