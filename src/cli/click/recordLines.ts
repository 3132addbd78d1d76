/** A record on the streams and what became of it, as people read it. Pure. */
import type { AuditedClick__Output as AuditedClick } from '../../contract/generated/clickledger/v1/AuditedClick.ts';
import type { Receipt__Output as Receipt } from '../../contract/generated/clickledger/v1/Receipt.ts';
import { formatMinute, formatSecond, printable } from '../format.ts';

const LABEL_COLUMNS = 10;

export function renderRecord(record: AuditedClick): string {
  const { disposition, reason, repeats, receipt } = record;
  const origin = repeats === null ? '' : ` as ${placeOf(repeats)}`;
  const facts = [['stands at', placeOf(receipt)], ...clickFacts(record)];
  const lines = facts.map(([label = '', text]) => `  ${label.padEnd(LABEL_COLUMNS)}${text}`);
  return [`${disposition} ${reason}${origin}`.trimEnd(), ...lines].join('\n');
}

function clickFacts(record: AuditedClick): [string, string][] {
  const { ad_id, event_time_ms, received_ms, disposition, counted, counted_as, minute_ms } = record;
  // A dead letter that cannot be decoded: nothing is known of it.
  if (ad_id === '') return [];
  const facts: [string, string][] = [
    ['ad', printable(ad_id)],
    ['happened', `${formatSecond(event_time_ms)} UTC, received ${formatSecond(received_ms)} UTC`],
  ];
  if (minute_ms > 0 && disposition !== 'DUPLICATE') {
    const minute = `in the minute ${formatMinute(minute_ms)} UTC`;
    facts.push(['counted', counted ? minute : `not yet, it is on its way: ${minute}`]);
  }
  if (counted_as !== disposition)
    facts.push([
      'live',
      `taken for ${counted_as}: it came after the dedup horizon. A reconcile restates that`,
    ]);
  return facts;
}

function placeOf(receipt: Receipt | null): string {
  if (receipt === null) return '';
  const { shard, stream_sequence, index } = receipt;
  return `shard ${shard}, message ${stream_sequence}, record ${index}`;
}
