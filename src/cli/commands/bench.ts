/** `clickledger bench`: figures of this machine, each taken together with what it is to be held against. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { median } from 'simple-statistics';
import { measureReplay, type ReplayBench, type ReplayRound } from '../bench/replayBench.ts';
import { renderReport, reportAsJson, reportAsMarkdown } from '../bench/report.ts';
import { runBench, SECTIONS } from '../bench/runBench.ts';
import { formatCount } from '../format.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { dataDirectory } from '../stack/instance.ts';
import { interrupts } from '../stack/interrupts.ts';
import { print } from '../terminal.ts';

const CLICKS_MAX = 100_000_000;
const SHARDS_MAX = 256;
const ROUNDS_MAX = 100;
const PERCENT = 100;
const EXIT_INTERRUPTED = 130;
const EXIT_FAILED = 1;

interface BenchOptions {
  readonly only: readonly string[];
  readonly rounds: number;
  readonly scale: number;
  readonly json?: string;
  readonly markdown?: string;
}

const LETTERS = SECTIONS.map(({ letter }) => letter);

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure this machine: each figure beside its floor, taken in the same run')
    .addOption(
      new Option('--only <parts>', `some parts of ${LETTERS.join(',')}`)
        .argParser(parts)
        .default(LETTERS, 'all'),
    )
    .addOption(number('--rounds <count>', 'how often; medians are shown', 1, ROUNDS_MAX, 5))
    .addOption(number('--scale <percent>', 'of all numbers of clicks, ads and seconds', 1, PERCENT, PERCENT))
    .option('--json <file>', 'where the figures go as JSON (default: a new file in the data folder)')
    .option('--markdown <file>', 'write what docs/BENCHMARKS.md holds, too')
    .addHelpText('after', HELP)
    .action(bench)
    .addCommand(replayCommand());
}

const HELP = `
${SECTIONS.map(({ letter, title }) => `${letter}  ${title}`).join('\n')}

All of it takes some 20 minutes on two cores that nobody else uses; --scale 10 --rounds 1 gives a first look. It
runs on servers of its own, and its data, up to 10 GB, goes to the folder for temporary files until it ends.`;

function number(flags: string, description: string, min: number, max: number, fallback: number): Option {
  return new Option(flags, description).argParser(wholeNumberOption(min, max)).default(fallback);
}

function parts(text: string): readonly string[] {
  const letters = text.split(',');
  if (letters.every((letter) => LETTERS.includes(letter))) return letters;
  throw new InvalidArgumentError(`Right are letters of ${LETTERS.join(',')} with commas between them.`);
}

async function bench({ json, markdown, scale, ...options }: BenchOptions): Promise<void> {
  const stop = interrupts(() => process.exit(EXIT_INTERRUPTED));
  const report = await runBench({ ...options, scale: scale / PERCENT, stop });
  const file = json ?? path.join(dataDirectory(), 'bench', `${report.startedAt.replaceAll(':', '')}.json`);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, reportAsJson(report));
  if (markdown !== undefined) await writeFile(markdown, reportAsMarkdown(report));
  print(renderReport(report));
  print();
  print(`figures of each round: ${file}`);
  // A part that failed may have left connections open.
  process.exit(report.sections.some(({ failure }) => failure !== undefined) ? EXIT_FAILED : 0);
}

interface ReplayOptions extends ReplayBench {
  readonly rounds: number;
}

function replayCommand(): Command {
  return new Command('replay')
    .description('how fast reconcile replays what is counted, on servers of its own')
    .addOption(number('--clicks <count>', 'clicks on the streams', 1, CLICKS_MAX, 500_000))
    .addOption(number('--shards <count>', 'streams', 1, SHARDS_MAX, 16))
    .addOption(number('--rounds <count>', 'how often; medians are shown in the end', 1, ROUNDS_MAX, 3))
    .addHelpText('after', REPLAY_HELP)
    .action(benchReplay);
}

const REPLAY_HELP = `
live/s: clicks counted end to end, from the first request of StreamIngestClicks until all is stored. catch-up/s: the same
clicks by the actors alone, from when they are ready, with all of it on the streams. replay/s: the median of three runs of
reconcile, by its own figure. peak MB: the most that a reconciling process ever had in memory. Only the ratios mean something
on a machine that others use too. The data goes to the folder for temporary files, some 300 bytes a click.`;

const COLUMNS: readonly PlainColumn[] = [
  'round',
  'records',
  'windows',
  'live/s',
  'catch-up/s',
  'replay/s',
  'replay/live',
  'replay/catch-up',
  'peak MB',
].map((head) => ({ head, align: head === 'round' ? 'left' : 'right' }));

async function benchReplay({ rounds: count, ...options }: ReplayOptions): Promise<void> {
  const stop = interrupts(() => process.exit(EXIT_INTERRUPTED));
  const rounds: ReplayRow[] = [];
  while (rounds.length < count) rounds.push(withRatios(await measureReplay(options, stop)));
  const rows = rounds.map((round, index) => cells(`${index + 1}`, round));
  if (count > 1) rows.push(cells('median', medianOf(rounds)));
  print(renderPlainTable(COLUMNS, rows));
}

interface ReplayRow extends ReplayRound {
  readonly toLive: number;
  readonly toCatchUp: number;
}

function withRatios(round: ReplayRound): ReplayRow {
  const { replayPerSecond, livePerSecond, catchUpPerSecond } = round;
  return {
    ...round,
    toLive: replayPerSecond / livePerSecond,
    toCatchUp: replayPerSecond / catchUpPerSecond,
  };
}

/** Of each figure by itself, the ratios of each round included. */
function medianOf(rounds: readonly ReplayRow[]): ReplayRow {
  const [first] = rounds;
  const names = Object.keys(first ?? {}) as (keyof ReplayRow)[];
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name]))]),
  ) as unknown as ReplayRow;
}

function cells(label: string, round: ReplayRow): string[] {
  return [
    label,
    formatCount(round.records),
    formatCount(round.windows),
    formatCount(round.livePerSecond),
    formatCount(round.catchUpPerSecond),
    formatCount(round.replayPerSecond),
    round.toLive.toFixed(1),
    round.toCatchUp.toFixed(1),
    formatCount(round.replayPeakBytes / 1e6),
  ];
}
