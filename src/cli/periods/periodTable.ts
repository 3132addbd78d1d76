/** Billing periods as people and programs read them, and why one was not closed. Pure. */
import {
  type BillingPeriod,
  type CloseOutcome,
  formatPeriod,
  type PeriodSums,
  periodOf,
} from '../../domain/billingPeriod.ts';
import { formatCount, formatMinute, formatSecond, printable } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';

const COLUMNS: readonly PlainColumn[] = [
  { head: 'period', align: 'left' },
  { head: 'closed (UTC)', align: 'left' },
  { head: 'clicks', align: 'right' },
  { head: 'gross', align: 'right' },
  { head: 'adjustments', align: 'right' },
  { head: 'adjusted clicks', align: 'right' },
  { head: 'adjusted gross', align: 'right' },
];

export function renderPeriods(periods: readonly PeriodSums[]): string {
  return renderPlainTable(
    COLUMNS,
    periods.map((period) => [
      nameOf(period),
      period.closed === undefined ? 'open' : formatSecond(period.closed.atMs),
      formatSum(period.valid),
      formatSum(period.gross),
      formatCount(period.adjustments),
      formatSum(period.adjustedValid),
      formatSum(period.adjustedGross),
    ]),
  );
}

/** One line of JSON; sums as texts, because they may be beyond 2^53. */
export function periodJson(period: PeriodSums): string {
  const { startsMs, closed, valid, gross, adjustments, adjustedValid, adjustedGross } = period;
  return JSON.stringify({
    from: startsMs === undefined ? null : new Date(startsMs).toISOString(),
    to: closed === undefined ? null : new Date(closed.endsMs).toISOString(),
    closed_at: closed === undefined ? null : new Date(closed.atMs).toISOString(),
    clicks: `${valid}`,
    gross_clicks: `${gross}`,
    adjustments,
    adjusted_clicks: `${adjustedValid}`,
    adjusted_gross_clicks: `${adjustedGross}`,
  });
}

/** What became of closing it, in words; where it was refused, also what is right. */
export function closeWords(period: BillingPeriod, outcome: CloseOutcome): string {
  const name = formatPeriod(period);
  switch (outcome.kind) {
    case 'closed':
      return `${name} is closed: its rows are final. What still comes for it is booked in ${formatPeriod(periodOf(period.endsMs))}`;
    case 'already':
      return `${name} is closed since ${formatSecond(outcome.closedAtMs)} UTC`;
    case 'early':
      return `${name} is not closed: it lies before the first period that was, and everything before ${formatMinute(outcome.closedThroughMs)} UTC is final already`;
    case 'earlierOpen':
      return `${name} is not closed: ${formatPeriod(periodOf(outcome.timeMs))} is open, and periods are closed in order. Right is to close that one first`;
    case 'unsettled':
      return `${name} is not closed: it ends at ${formatMinute(period.endsMs)} UTC, and ${settledWords(outcome.settledThroughMs)}. Right is after its end, when ./clickledger reconcile --settle has settled it`;
    case 'differs':
      return `${name} is not closed: ${windowWords(outcome.windows)} from what the streams say, first ad ${printable(outcome.adId)} at ${formatMinute(outcome.minute)} UTC. Right is ./clickledger reconcile --apply first`;
  }
}

function settledWords(throughMs: number): string {
  return throughMs === -Infinity
    ? 'no minute is settled'
    : `minutes are settled only before ${formatMinute(throughMs)} UTC`;
}

function windowWords(windows: number): string {
  return windows === 1 ? '1 window of it differs' : `${formatCount(windows)} windows of it differ`;
}

function nameOf({ startsMs, closed }: PeriodSums): string {
  if (startsMs === undefined) return 'from the first click on';
  const name = formatPeriod(periodOf(startsMs));
  return closed === undefined ? `from ${name} on` : name;
}

function formatSum(sum: bigint): string {
  return sum.toLocaleString('en-US');
}
