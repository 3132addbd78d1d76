/** How differences of rollups read: which row, of what clicks, from what to what, and why. */
import { describe, expect, test } from 'vitest';
import { rollupDifferenceJson, rollupDifferenceLine } from '../../src/cli/reconcile/rollupTable.ts';
import type { RollupDifference } from '../../src/domain/difference.ts';

const ZEROS = { valid: 0n, repeat: 0n, givt: 0n, sivt: 0n, defective: 0n, test: 0n };
const DIFFERENCE: RollupDifference = {
  rollup: 'ad_dimension',
  adId: 'shoes',
  startMs: Date.UTC(2017, 10, 6, 16, 45),
  kind: 2,
  value: 'paper',
  value2: '',
  before: { ...ZEROS, valid: 5n, givt: 7n },
  after: { ...ZEROS, valid: 4n, givt: 8n },
  besideWindows: false,
  needsLongerReplay: false,
};

describe('a difference of a rollup', () => {
  test('names the row by its dimensions, also one that is not known, and each count that differs', () => {
    expect(rollupDifferenceLine(DIFFERENCE)).toEqual([
      'ad_dimension',
      'shoes',
      '2017-11-06 16:45',
      'publisher_id paper, country not known',
      'valid 5 -> 4, givt 7 -> 8',
      'not what the stream says',
    ]);
  });

  test('of all ads together says so, and what it is the sum of', () => {
    const line = rollupDifferenceLine({ ...DIFFERENCE, rollup: 'shard_minute', adId: '', kind: undefined });
    expect([line[1], line[3], line[5]]).toEqual(['all', '', 'not the sum of its ads']);
  });

  test('is a line of JSON with sums beyond 2^53 as they are', () => {
    const wrong = { ...DIFFERENCE, before: { ...ZEROS, valid: 2n ** 63n }, needsLongerReplay: true };
    expect(JSON.parse(rollupDifferenceJson(wrong, false))).toMatchObject({
      kind: 'rollup',
      rollup: 'ad_dimension',
      ad_id: 'shoes',
      from: '2017-11-06T16:45:00.000Z',
      dimensions: { publisher_id: 'paper', country: '' },
      before: { valid: '9223372036854775808' },
      after: { givt: '8' },
      why: 'late repeats taken out by a longer reconcile: needs one as long',
      restated: false,
    });
  });

  test('shows a value that a terminal would obey as what it is', () => {
    expect(rollupDifferenceLine({ ...DIFFERENCE, value: 'a\u001b[2J' })[3]).toContain('a\\u001b[2J');
  });
});
