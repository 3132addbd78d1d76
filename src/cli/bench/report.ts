/** What a bench has found, for a person at a terminal, for a program, and for docs/BENCHMARKS.md. Pure. */
import { median } from 'simple-statistics';
import { formatCount, formatSpan } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import type { Section } from './bench.ts';
import { type Figure, type Measured, type ProcessorTime, spreadOf, type Unit, verdictOf } from './figure.ts';

export interface SectionReport extends Measured, Pick<Section, 'letter' | 'title' | 'how' | 'leavesOut'> {
  /** Why it ended before its end; there are no figures then. */
  readonly failure?: string;
}

export interface BenchReport {
  readonly machine: Readonly<Record<string, string>>;
  readonly startedAt: string;
  readonly tookMs: number;
  readonly rounds: number;
  readonly scale: number;
  readonly sections: readonly SectionReport[];
}

const DECIMALS: Readonly<Record<Unit, number>> = {
  '/s': 0,
  clicks: 0,
  times: 2,
  '%': 1,
  ms: 1,
  s: 2,
  µs: 1,
  bytes: 1,
  MB: 0,
};

function formatFigure(value: number, unit: Unit): string {
  const digits = DECIMALS[unit];
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Median, spread, floor, goal, verdict; empty where there is none. */
function cellsOf(figure: Figure): string[] {
  const { median: middle, min, max } = spreadOf(figure);
  const show = (value: number) => formatFigure(value, figure.unit);
  const { floor, goal } = figure.goal ?? {};
  return [
    figure.name,
    figure.unit,
    show(middle),
    `${show(min)}–${show(max)}`,
    floor === undefined ? '' : show(floor),
    goal === undefined ? '' : show(goal),
    verdictOf(figure) ?? '',
  ];
}

const HEADS = ['figure', 'unit', 'median', 'min–max', 'floor', 'goal', ''];
const LEFT = new Set(['', 'figure', 'unit', 'part', 'processor time a click, µs']);

function columns(heads: readonly string[]): PlainColumn[] {
  return heads.map((head) => ({ head, align: LEFT.has(head) ? 'left' : 'right' }));
}

/** The tables for a terminal. */
export function renderReport({ sections }: BenchReport): string {
  const figures = sections.flatMap(({ letter, figures: own, failure }) => [
    ...(failure === undefined ? [] : [[letter, 'FAILED, see below', '', '', '', '', '', '']]),
    ...own.map((figure) => [letter, ...cellsOf(figure)]),
  ]);
  const { heads, rows } = processorTable(
    sections.flatMap(({ letter, processor }) =>
      processor.map((time) => ({ ...time, name: `${letter}. ${time.name}` })),
    ),
  );
  return [
    renderPlainTable(columns(['part', ...HEADS]), figures),
    ...(rows.length === 0 ? [] : ['', renderPlainTable(columns(heads), rows)]),
    ...sections.flatMap(({ letter, failure }) =>
      failure === undefined ? [] : ['', `${letter} failed: ${failure}`],
    ),
  ].join('\n');
}

/** In the order in which a click comes by them. */
const PROCESSES = [
  'client',
  'server',
  'gateway',
  'nats-server',
  'actors',
  'redis-server',
  'postgres',
  'query',
  'reconciler',
];

/** A row a measurement, a column a process: medians of the rounds. */
function processorTable(times: readonly ProcessorTime[]): { heads: string[]; rows: string[][] } {
  const found = new Set(times.flatMap(({ microseconds }) => microseconds.flatMap(Object.keys)));
  const names = [...found].sort((one, other) => PROCESSES.indexOf(one) - PROCESSES.indexOf(other));
  const rows = times.map(({ name, microseconds }) => [
    name,
    ...names.map((process) => {
      const values = microseconds.flatMap((round) => round[process] ?? []);
      return values.length === 0 ? '' : median(values).toFixed(1);
    }),
  ]);
  return { heads: ['processor time a click, µs', ...names], rows };
}

/** Each figure with what is made of its rounds. */
export function reportAsJson(report: BenchReport): string {
  const sections = report.sections.map((section) => ({
    ...section,
    figures: section.figures.map((figure) => ({
      ...figure,
      ...spreadOf(figure),
      verdict: verdictOf(figure) ?? null,
    })),
  }));
  return `${JSON.stringify({ ...report, sections }, null, 2)}\n`;
}

const INTRODUCTION = `\
Made by \`./clickledger bench --markdown docs/BENCHMARKS.md\`; \`./clickledger bench\` shows the same for your machine.

Everything runs on one machine: clients, servers and clickledger share its cores, over loopback, each server as
\`./clickledger up\` starts it (NATS with fsync at each acknowledgement, PostgreSQL with fsync and synchronous_commit). Contestants take
turns, A B A B; each figure is the median of the rounds, with the least and the most beside it; a ratio is made in each round by itself.
Only ratios say something about another machine. Processor time is of each process with those that it began, user and system, from
/proc, medians; "client" is what sends the clicks. Linux counts it in hundredths of a second.`;

/** docs/BENCHMARKS.md. */
export function reportAsMarkdown(report: BenchReport): string {
  const { machine, startedAt, tookMs, rounds, scale, sections } = report;
  const run = {
    ...machine,
    'begun, took': `${startedAt}, ${formatSpan(tookMs)}`,
    'rounds, scale': `${formatCount(rounds)}, ${formatCount(scale * 100)} %`,
  };
  return `${[
    '# Benchmarks',
    '',
    INTRODUCTION,
    '',
    ...markdownTable(['machine', ''], Object.entries(run)),
    ...sections.flatMap(markdownSection),
  ].join('\n')}\n`;
}

function markdownSection({ letter, title, how, leavesOut, failure, figures, processor }: SectionReport) {
  const { heads, rows } = processorTable(processor);
  return [
    '',
    `## ${letter}. ${title}`,
    '',
    how,
    '',
    `Not measured: ${leavesOut}`,
    '',
    ...(failure === undefined ? markdownTable(HEADS, figures.map(cellsOf)) : [`**Failed:** ${failure}`]),
    ...(rows.length === 0 ? [] : ['', ...markdownTable(heads, rows)]),
  ];
}

function markdownTable(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = columns(heads).map(({ align }) => (align === 'right' ? '---:' : '---'));
  return [line(heads), line(rule), ...rows.map(line)];
}
