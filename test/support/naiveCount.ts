/**
 * Counts a shard's messages the plain way: whole texts as keys, everything remembered for ever, nothing hashed or
 * shared with the fold. What owners count after any trouble is held against this.
 */
import { decodeClickBatch, decodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import { isEventTimePossible, judge } from '../../src/domain/judge.ts';
import type { RoutingTable } from '../../src/domain/routingTable.ts';
import type { StreamMessage } from '../../src/domain/streamMessage.ts';
import {
  countClick,
  type Disposition,
  emptyCounts,
  type WindowCounts,
} from '../../src/domain/windowCounts.ts';
import { addClickRollups, type Rollups } from './rollups.ts';

export interface NaiveCount {
  /** By `minute ad_id`. */
  readonly counts: Map<string, WindowCounts>;
  readonly rollups: Rollups;
  /** Who was seen in valid and repeat clicks, as hexadecimal digits in order, by `hour ad_id`. */
  readonly people: Map<string, string[]>;
  records: number;
  duplicates: number;
  deadLetters: number;
}

export function naiveCount(
  messages: readonly StreamMessage[],
  shard: number,
  table: RoutingTable,
): NaiveCount {
  const result: NaiveCount = {
    counts: new Map(),
    rollups: new Map(),
    people: new Map(),
    records: 0,
    duplicates: 0,
    deadLetters: 0,
  };
  const horizonSeconds = Math.floor(table.rules.dedupHorizonMs / 1000);
  const identitySeen = new Map<string, number>();
  const clickSeen = new Map<string, number>();
  let streamSeconds = 0;
  for (const message of messages) {
    streamSeconds = Math.max(streamSeconds, Math.floor(message.timestampMs / 1000));
    const isSeen = (at: number | undefined) => at !== undefined && at >= streamSeconds - horizonSeconds;
    const batch = decodeClickBatch(message.bytes);
    for (const { facts, bytes } of batch?.records ?? [{ facts: undefined, bytes: message.bytes }]) {
      result.records += 1;
      if (facts === undefined || table.route(facts) !== shard) {
        result.deadLetters += 1;
        continue;
      }
      const judgement = judge(facts, table.rules);
      const identity = identityText(facts);
      const click = `${identity} ${facts.clickId.toHex()}`;
      const wasClickSeen = isSeen(clickSeen.get(click));
      const wasIdentitySeen = isSeen(identitySeen.get(identity));
      clickSeen.set(click, streamSeconds);
      if (judgement.kind === 'billable') identitySeen.set(identity, streamSeconds);
      if (wasClickSeen) {
        result.duplicates += 1;
        continue;
      }
      const disposition: Disposition =
        judgement.kind === 'refused' ? judgement.disposition : wasIdentitySeen ? 'REPEAT' : 'VALID';
      const bookedMs = isEventTimePossible(facts, table.rules) ? facts.eventTimeMs : facts.receivedMs;
      const minute = Math.floor(bookedMs / 60_000) * 60_000;
      const key = `${minute} ${facts.adId}`;
      const counts = result.counts.get(key) ?? emptyCounts();
      countClick(counts, facts.clickId, disposition);
      result.counts.set(key, counts);
      const record = decodeClickRecord(bytes);
      if (record !== undefined) addClickRollups(result.rollups, record, minute, disposition);
      const userKey = record?.userKey ?? new Uint8Array(0);
      if (userKey.length === 0 || (disposition !== 'VALID' && disposition !== 'REPEAT')) continue;
      const hour = `${Math.floor(bookedMs / 3_600_000) * 3_600_000} ${facts.adId}`;
      const people = new Set(result.people.get(hour)).add(userKey.toHex().slice(0, 16));
      result.people.set(hour, [...people].sort());
    }
  }
  return result;
}

function identityText({ adId, impressionId, clickId }: ClickFacts): string {
  return impressionId === undefined ? `${adId} c ${clickId.toHex()}` : `${adId} i ${impressionId.toHex()}`;
}
