/** How differences read: what differs, from what to what, and why. */
import { describe, expect, test } from 'vitest';
import {
  differenceJson,
  differenceLine,
  shardDifferenceLine,
} from '../../src/cli/reconcile/differenceTable.ts';
import type { WindowDifference } from '../../src/domain/difference.ts';

const ZEROS = {
  valid: 0n,
  repeat: 0n,
  givt: 0n,
  sivt: 0n,
  defective: 0n,
  test: 0n,
  fingerprintHigh: 0n,
  fingerprintLow: 0n,
};

function difference(changes: Partial<WindowDifference>): WindowDifference {
  const minute = Date.UTC(2017, 10, 6, 16);
  return {
    adId: 'shoes',
    minute,
    before: ZEROS,
    after: ZEROS,
    late: 0,
    needsLongerReplay: false,
    ...changes,
  };
}

describe('a difference', () => {
  test('names each count that differs, and not the fingerprint beside them', () => {
    const before = { ...ZEROS, valid: 5n, givt: 7n };
    const after = { ...ZEROS, valid: 4n, repeat: 1n, givt: 7n, fingerprintLow: 9n };
    expect(differenceLine(difference({ before, after, late: 1 }))).toEqual([
      'shoes',
      '2017-11-06 16:00',
      'valid 5 -> 4, repeat 0 -> 1',
      '1 repeat after the dedup horizon',
    ]);
  });

  test('of the fingerprint alone is other clicks', () => {
    const line = differenceLine(difference({ after: { ...ZEROS, fingerprintHigh: 3n } }));
    expect(line.slice(2)).toEqual(['other clicks, equal counts', 'not what the stream says']);
  });

  test('found by judging again is said to be that, whatever the streams say', () => {
    const judgedAgain = difference({ after: { ...ZEROS, givt: 1n } });
    expect(differenceLine(judgedAgain, 2)[3]).toBe('judged again by rule set 2');
    expect(JSON.parse(differenceJson(judgedAgain, false, 2))).toMatchObject({
      why: 'judged again by rule set 2',
    });
  });

  test('shows an ad that a terminal would obey as what it is', () => {
    expect(differenceLine(difference({ adId: 'a\u001b[2J' }))[0]).toBe('a\\u001b[2J');
  });

  test('that needs a longer replay says so', () => {
    expect(differenceLine(difference({ needsLongerReplay: true, late: 0 }))[3]).toContain(
      'needs one as long',
    );
  });

  test('is a line of JSON with exact sums, whatever their size', () => {
    const before = { ...ZEROS, valid: 2n ** 63n - 1n };
    expect(JSON.parse(differenceJson(difference({ before }), true))).toMatchObject({
      kind: 'window',
      ad_id: 'shoes',
      minute: '2017-11-06T16:00:00.000Z',
      before: { valid: '9223372036854775807', fingerprint_low: '0' },
      after: { valid: '0' },
      restated: true,
    });
  });

  test("of a shard's sums names both", () => {
    expect(shardDifferenceLine({ shard: 3, what: 'dead_letters', stored: 1_000, recounted: 2 })).toBe(
      'shard 3: 1,000 dead letters in its row, 2 on its stream',
    );
  });
});
