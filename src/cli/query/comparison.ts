/** Two sides against each other, for a person to read. Pure. */
import type { CompareAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import type { COUNTS } from '../../domain/ranking.ts';
import { formatCount, formatMinute } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { renderFreshness } from './aggregateTable.ts';
import type { TimeRange } from './timeRange.ts';

/** Below it a difference is hardly by chance. */
const CHANCE_MAX = 0.05;
/** Smaller ones tell nobody more. */
const P_VALUE_MIN = 0.000_001;

export interface ComparedSide extends TimeRange {
  readonly name: string;
}

export function renderComparison(
  [left, right]: readonly [ComparedSide, ComparedSide],
  metric: (typeof COUNTS)[number],
  answer: CompareAggregatesResponse__Output,
  nowMs: number,
): string {
  const columns: PlainColumn[] = [
    { head: '', align: 'left' },
    { head: 'from (UTC)', align: 'left' },
    { head: 'to (UTC)', align: 'left' },
    { head: metric, align: 'right' },
    { head: 'status', align: 'left' },
  ];
  const line = ({ name, fromMs, toMs }: ComparedSide, count: number | undefined, status: string) => [
    name,
    formatMinute(fromMs),
    formatMinute(toMs),
    formatCount(count ?? 0),
    status.toLowerCase(),
  ];
  const table = renderPlainTable(columns, [
    line(left, answer.left?.[metric], answer.left_status),
    line(right, answer.right?.[metric], answer.right_status),
  ]);
  return [table, ...verdict(left.name, answer), freshness(answer, nowMs)].join('\n');
}

function verdict(
  name: string,
  { difference, ratio, share, expected_share, p_value, test }: CompareAggregatesResponse__Output,
): string[] {
  const apart = `difference ${formatCount(difference)}${ratio === undefined ? '' : `, ratio ${ratio.toFixed(3)}`}`;
  if (share === undefined || p_value === undefined) return [`${apart}: both sides have none`];
  const percent = (part: number) => `${(part * 100).toFixed(2)} %`;
  const p = p_value < P_VALUE_MIN ? `p < ${P_VALUE_MIN}` : `p = ${p_value.toPrecision(3)}`;
  return [
    apart,
    `${name} has ${percent(share)} where ${percent(expected_share)} would be no difference`,
    `${p} (${test}): ${p_value < CHANCE_MAX ? 'hardly by chance' : 'this may be by chance'}`,
  ];
}

/** Of the side that is known less well. */
function freshness(
  { left_info: left, right_info: right }: CompareAggregatesResponse__Output,
  nowMs: number,
): string {
  return renderFreshness(right?.partial === true ? right : left, nowMs);
}
