/** The table of `up --demo`: fits 80 columns and the rows that the terminal has. Pure. */
import { formatCount, formatSecond, formatSpan } from '../format.ts';
import { styled } from '../terminal.ts';
import { type AdCounts, addAdCounts, type LiveCounts } from './liveCounts.ts';

/** Lines that are not ads, with room for what may go wrong and for the cursor below. */
const OTHER_LINES = 11;
const ADS_MIN = 3;
const ADS_MAX = 14;
const BAR_COLUMNS = 9;
/** Eighths of a character cell, from one to seven. */
const PARTIAL_CELLS = '▏▎▍▌▋▊▉';

export interface DemoState {
  readonly counts: LiveCounts | undefined;
  /** Clicks that the gateway answered with a redirect, or accepted. */
  readonly sent: number;
  readonly failed: number;
  readonly nowMs: number;
  readonly startMs: number;
  /** What went wrong last, while it goes wrong. */
  readonly trouble: string | undefined;
}

interface Column {
  readonly head: string;
  readonly columns: number;
  readonly text: (counts: AdCounts) => string;
}

const NAME_COLUMNS = 22;
const COLUMNS: readonly Column[] = [
  { head: 'clicks', columns: 8, text: ({ clicks }) => formatCount(clicks) },
  { head: 'gross', columns: 8, text: ({ gross }) => formatCount(gross) },
  { head: 'repeat', columns: 7, text: ({ repeat }) => formatCount(repeat) },
  { head: 'invalid', columns: 8, text: ({ invalid }) => formatCount(invalid) },
  { head: 'defect', columns: 7, text: ({ defective }) => formatCount(defective) },
];
const RATE_COLUMNS = 7;

export function renderDemo(state: DemoState, terminalRows: number): string {
  const { counts } = state;
  const lines = [title(state), ''];
  if (counts !== undefined) lines.push(...table(counts, terminalRows), '', ...summary(state, counts));
  else lines.push('waiting for the first counts ...');
  if (state.trouble !== undefined) lines.push(styled('yellow', state.trouble));
  return lines.join('\n');
}

/** One line for logs and pipes. */
export function renderTotals({ counts, sent, failed, trouble }: DemoState): string {
  const total = totalOf(counts);
  const { clicks, gross, repeat, invalid, defective } = total;
  const words = [
    `sent ${formatCount(sent)}`,
    `counted ${formatCount(received(total))}`,
    `lag ${formatCount(lagOf(sent, received(total)))}`,
    `clicks ${formatCount(clicks)}`,
    `gross ${formatCount(gross)}`,
    `repeat ${formatCount(repeat)}`,
    `invalid ${formatCount(invalid)}`,
    `defective ${formatCount(defective)}`,
  ];
  if (failed > 0) words.push(`failed ${formatCount(failed)}`);
  if (trouble !== undefined) words.push(trouble);
  return words.join(', ');
}

function title({ nowMs, startMs }: DemoState): string {
  const running = `running for ${formatSpan(nowMs - startMs)}`;
  return `${styled('bold', 'clickledger demo')}  made-up clicks and ads, ${running}, Ctrl-C stops`;
}

function table({ byAd, grossPerMinute }: LiveCounts, terminalRows: number): string[] {
  const shown = Math.max(ADS_MIN, Math.min(ADS_MAX, terminalRows - OTHER_LINES));
  // Where two are level the name decides, so that rows do not change places without need.
  const ads = [...byAd].sort(
    ([oneId, one], [otherId, other]) => other.gross - one.gross || (oneId < otherId ? -1 : 1),
  );
  const most = ads[0]?.[1].gross ?? 0;
  const heads = COLUMNS.map(({ head, columns }) => head.padStart(columns)).join('');
  const lines = [styled('dim', `${'ad'.padEnd(NAME_COLUMNS)}${heads}${'/min'.padStart(RATE_COLUMNS)}`)];
  for (const [adId, counts] of ads.slice(0, shown)) {
    const rate = formatCount(grossPerMinute.get(adId) ?? 0).padStart(RATE_COLUMNS);
    lines.push(`${row(adId, counts)}${rate}  ${styled('cyan', bar(counts.gross / Math.max(1, most)))}`);
  }
  const rest = ads.slice(shown);
  if (rest.length > 0) {
    const sum = rest.reduce((total, [, counts]) => addAdCounts(total, counts), NOTHING);
    lines.push(styled('dim', row(`${rest.length} more ads`, sum)));
  }
  const perMinute = [...grossPerMinute.values()].reduce((sum, rate) => sum + rate, 0);
  const rate = formatCount(perMinute).padStart(RATE_COLUMNS);
  lines.push(styled('bold', `${row('all ads', sumOf(byAd))}${rate}`));
  return lines;
}

function row(name: string, counts: AdCounts): string {
  const cells = COLUMNS.map(({ columns, text }) => text(counts).padStart(columns)).join('');
  return `${name.slice(0, NAME_COLUMNS - 1).padEnd(NAME_COLUMNS)}${cells}`;
}

function summary({ sent, failed, nowMs }: DemoState, counts: LiveCounts): string[] {
  const counted = received(sumOf(counts.byAd));
  const lag = lagOf(sent, counted);
  const lines = [
    [
      `sent ${styled('bold', formatCount(sent))}`,
      `counted ${styled('bold', formatCount(counted))}`,
      `lag ${styled(lag === 0 ? 'green' : 'bold', formatCount(lag))}`,
      ...(failed > 0 ? [styled('red', `not answered ${formatCount(failed)}`)] : []),
    ].join('   '),
  ];
  const arrivedMs = counts.info?.arrived_through_ms ?? 0;
  if (arrivedMs > 0) {
    const age = (Math.max(0, nowMs - arrivedMs) / 1_000).toFixed(1);
    lines.push(`every click until ${formatSecond(arrivedMs).slice(11)} UTC is counted (${age} s ago)`);
  }
  if (counts.info?.partial === true) {
    lines.push(
      styled('yellow', `partial: no answer in time from shards ${counts.info.missing_shards.join(', ')}`),
    );
  }
  return lines;
}

const NOTHING: AdCounts = { clicks: 0, gross: 0, repeat: 0, invalid: 0, defective: 0, test: 0 };

function sumOf(byAd: ReadonlyMap<string, AdCounts>): AdCounts {
  return [...byAd.values()].reduce((total, counts) => addAdCounts(total, counts), NOTHING);
}

function totalOf(counts: LiveCounts | undefined): AdCounts {
  return counts === undefined ? NOTHING : sumOf(counts.byAd);
}

/** A click may be counted before the browser has its answer; that is no negative lag. */
function lagOf(sent: number, counted: number): number {
  return Math.max(0, sent - counted);
}

/** Every click that was counted, in whichever bucket (I12). */
function received({ gross, defective, test }: AdCounts): number {
  return gross + defective + test;
}

function bar(share: number): string {
  const eighths = Math.round(share * BAR_COLUMNS * 8);
  const partial = eighths % 8 === 0 ? '' : (PARTIAL_CELLS[(eighths % 8) - 1] ?? '');
  return '█'.repeat(Math.floor(eighths / 8)) + partial;
}
