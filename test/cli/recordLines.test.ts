/** What became of a click, as people read it. */
import { expect, test } from 'vitest';
import { renderRecord } from '../../src/cli/click/recordLines.ts';
import type { AuditedClick__Output as AuditedClick } from '../../src/contract/generated/clickledger/v1/AuditedClick.ts';
import { NOON_MS } from '../support/clicks.ts';

const RECEIPT = { shard: 6, stream_incarnation: 'made', stream_sequence: 5, index: 2 };
const VALID: AuditedClick = {
  receipt: RECEIPT,
  click_id: '',
  impression_id: '',
  ad_id: 'shoes',
  event_time_ms: NOON_MS,
  received_ms: NOON_MS + 1_000,
  stored_ms: NOON_MS + 1_010,
  channel: 'CHANNEL_HTTP',
  disposition: 'VALID',
  reason: '',
  repeats: null,
  minute_ms: NOON_MS,
  counted_as: 'VALID',
  counted: true,
};

test('a valid click says where it stands and where it is counted', () => {
  expect(renderRecord(VALID)).toBe(
    [
      'VALID',
      '  stands at shard 6, message 5, record 2',
      '  ad        shoes',
      '  happened  2025-06-15 12:00:00 UTC, received 2025-06-15 12:00:01 UTC',
      '  counted   in the minute 2025-06-15 12:00 UTC',
    ].join('\n'),
  );
});

test.each<[string, Partial<AuditedClick>, RegExp]>([
  ['not counted yet', { counted: false }, /^ {2}counted {3}not yet, it is on its way: in the minute/m],
  [
    'a repeat',
    {
      disposition: 'REPEAT',
      counted_as: 'REPEAT',
      reason: 'same_impression',
      repeats: { ...RECEIPT, index: 0 },
    },
    /^REPEAT same_impression as shard 6, message 5, record 0$/m,
  ],
  [
    'late',
    { disposition: 'REPEAT', reason: 'same_impression' },
    /^ {2}live {6}taken for VALID: it came after/m,
  ],
  ["an ad's own escapes", { ad_id: 'a\u001b[31m' }, /^ {2}ad {8}a\\u001b\[31m$/m],
])('shows %s', (_what, changes, line) => {
  expect(renderRecord({ ...VALID, ...changes })).toMatch(line);
});

test('a duplicate is in no minute, and of what cannot be decoded only the place is known', () => {
  const duplicate = { ...VALID, disposition: 'DUPLICATE', counted_as: 'DUPLICATE' } as const;
  expect(renderRecord(duplicate)).not.toContain('counted');
  const dead = { ...VALID, ad_id: '', disposition: 'DEAD_LETTER', counted_as: 'DEAD_LETTER' } as const;
  expect(renderRecord({ ...dead, reason: 'undecodable', minute_ms: 0 })).toBe(
    'DEAD_LETTER undecodable\n  stands at shard 6, message 5, record 2',
  );
});
