/**
 * The records of a part of a shard's stream that an audit asks for, judged as their owner judged them (I11). Messages
 * without the bytes that every wanted record has are not decoded; they only move stream time.
 */

import type { DecodedRecord } from '../domain/clickBatch.ts';
import type { ClickFacts } from '../domain/clickRecord.ts';
import type { DeadLetterReason } from '../domain/deadLetter.ts';
import { NO_DIMENSIONS } from '../domain/dimensions.ts';
import { identityUuid } from '../domain/identity.ts';
import { type JudgedMessage, judgeMessage } from '../domain/judgedMessage.ts';
import type { Position } from '../domain/position.ts';
import { type ReplayRange, UndecidedError } from '../domain/replayRange.ts';
import type { RulesInForce } from '../domain/rulesInForce.ts';
import type { Routing, ShardStreams } from '../domain/shardStreams.ts';
import type { StreamMessage } from '../domain/streamMessage.ts';

export interface Wanted {
  /** Every message with a wanted record holds these bytes; undefined: that cannot be said. */
  readonly bytes: Buffer | undefined;
  /** @param index the record's place in its message */
  wants(record: DecodedRecord, index: number): boolean;
}

export interface StandingMessage {
  /** Running maximum of the timestamps, milliseconds since the Unix epoch. */
  readonly streamMs: number;
  /** The message's own. */
  readonly storedMs: number;
  /** The wanted clicks. */
  readonly judged: Pick<JudgedMessage, 'clicks'>;
  /** Where each of them stands. */
  readonly positions: readonly Position[];
  readonly dead: readonly DeadRecord[];
}

export interface DeadRecord {
  readonly position: Position;
  readonly reason: DeadLetterReason;
  /** undefined: it cannot be decoded. */
  readonly facts: ClickFacts | undefined;
}

export interface ScanParts {
  readonly streams: ShardStreams;
  readonly routing: Routing;
  readonly rules: RulesInForce;
  readonly stop: AbortSignal;
}

/** Records of this ad. */
export function wantedOfAd(adId: string, wants: (facts: ClickFacts) => boolean = () => true): Wanted {
  return {
    // Bytes that are no UTF-8 read as U+FFFD, so such a text may stand there in other bytes.
    bytes: adId.includes('\ufffd') ? undefined : Buffer.from(adId),
    wants: ({ facts }) => facts?.adId === adId && wants(facts),
  };
}

/** Records of the identities of these clicks. */
export function wantedOfIdentities(of: readonly ClickFacts[]): Wanted {
  const keys = new Set(of.map(wholeKey));
  const [only] = of;
  return {
    bytes: keys.size === 1 && only !== undefined ? Buffer.from(identityUuid(only)) : undefined,
    wants: ({ facts }) => facts !== undefined && keys.has(wholeKey(facts)),
  };
}

function wholeKey(facts: ClickFacts): string {
  return `${facts.adId} ${identityKey(facts)}`;
}

/** What tells the identities of one ad apart. */
export function identityKey(facts: ClickFacts): string {
  return `${facts.impressionId === undefined ? 'click' : 'impression'} ${identityUuid(facts).toHex()}`;
}

/** Messages with wanted records, in order. @throws UndecidedError where the stream ends before the range does */
export async function* standingRecords(
  { shard, incarnation, fromSequence, throughSequence }: ReplayRange,
  wanted: Wanted,
  { streams, routing, rules, stop }: ScanParts,
): AsyncGenerator<StandingMessage> {
  if (fromSequence > throughSequence) return;
  let next = fromSequence;
  let streamMs = 0;
  for await (const message of streams.read(shard, incarnation, fromSequence, stop, throughSequence)) {
    next = message.sequence + 1;
    streamMs = Math.max(streamMs, message.timestampMs);
    if (!holds(message, wanted)) continue;
    const batch = streams.decode(message.bytes);
    // I3: the route is checked only with every entry that the publisher knew.
    if (batch !== undefined) await routing.readThrough(batch.routingSequence);
    const records: readonly DecodedRecord[] = batch?.records ?? [
      { bytes: message.bytes, facts: undefined, dimensions: NO_DIMENSIONS, person: undefined },
    ];
    const indexes = records.flatMap((record, index) => (wanted.wants(record, index) ? [index] : []));
    if (indexes.length === 0) continue;
    const chosen = batch && { ...batch, records: indexes.flatMap((index) => records[index] ?? []) };
    const judged = judgeMessage(message, chosen, shard, routing.table, rules);
    const at = (place: number): Position => {
      return { shard, incarnation, sequence: message.sequence, index: indexes[place] ?? 0 };
    };
    const deadPlaces = new Set(judged.deadLetters.map(({ index }) => index));
    yield {
      streamMs,
      storedMs: message.timestampMs,
      judged,
      positions: [...indexes.keys()].filter((place) => !deadPlaces.has(place)).map(at),
      dead: judged.deadLetters.map(({ index, reason }) => {
        return { position: at(index), reason, facts: chosen?.records[index]?.facts };
      }),
    };
  }
  stop.throwIfAborted();
  // A reader that ends early would make what it did not read look as if it had never been there.
  if (next <= throughSequence)
    throw new UndecidedError(`the stream of shard ${shard} was read only to ${next - 1}`);
}

function holds({ bytes }: StreamMessage, wanted: Wanted): boolean {
  if (wanted.bytes === undefined) return true;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(wanted.bytes);
}
