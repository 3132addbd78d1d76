/** Two sides against each other, for a person to read. Pure. */
import type { CompareAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import { formatCount } from '../format.ts';

/** Below it a difference is hardly by chance. */
const CHANCE_MAX = 0.05;

export function renderComparison(
  [left, right]: readonly [string, string],
  answer: CompareAggregatesResponse__Output,
): string {
  const lines = [
    `${left}: ${formatCount(answer.left?.clicks ?? 0)} clicks, ${right}: ${formatCount(answer.right?.clicks ?? 0)} clicks`,
    `difference ${formatCount(answer.difference)}${answer.ratio === undefined ? '' : `, ratio ${answer.ratio.toFixed(3)}`}`,
  ];
  if (answer.share === undefined || answer.p_value === undefined) return lines.join('\n');
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  lines.push(
    `${left} has ${percent(answer.share)} where ${percent(answer.expected_share)} would be no difference`,
    `p = ${answer.p_value.toPrecision(3)} (${answer.test}): ${answer.p_value < CHANCE_MAX ? 'hardly by chance' : 'this may be by chance'}`,
  );
  if (answer.left_info?.partial === true || answer.right_info?.partial === true) {
    lines.push('partial: some shards did not answer in time; their last seconds are missing');
  }
  return lines.join('\n');
}
