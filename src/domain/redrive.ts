/**
 * What becomes of a dead letter that is looked at again, by a release that may read more than the one that buried
 * it: its clicks are published to their shard, or it stays with the reason why.
 *
 * The letter itself is never changed or taken back: it is a record that its stream has, and was counted as such
 * (I12). Its clicks get a new record on a stream, which is counted like any other.
 */
import type { ClickBatch, DecodedRecord } from './clickBatch.ts';
import type { ClickFacts } from './clickRecord.ts';
import type { StoredDeadLetter } from './deadLetter.ts';
import { NO_DIMENSIONS } from './dimensions.ts';
import { judgeRecord } from './judgedMessage.ts';
import type { Position } from './position.ts';
import type { RoutingTable } from './routingTable.ts';

/** How this release reads bytes; undefined where it cannot. */
export interface LetterReader {
  readonly batch: (bytes: Uint8Array) => ClickBatch | undefined;
  readonly record: (bytes: Uint8Array) => ClickFacts | undefined;
}

export type RedrivePlan =
  /** Its records, to be published to the shard as one batch. */
  | { readonly kind: 'publish'; readonly shard: number; readonly records: readonly Uint8Array[] }
  /** This release does no better than the one before. */
  | { readonly kind: 'unreadable'; readonly why: string }
  /** Its clicks are known, but may not be published now. */
  | { readonly kind: 'left'; readonly why: string };

type LetterContent = Pick<StoredDeadLetter, 'index' | 'reason' | 'bytes'>;

/**
 * The records that a letter holds, read by this release: one, or those of a message that could not be read whole.
 *
 * The ledger does not say which of the two a letter is. Only an undecodable one at index 0 may be a message, and
 * then no record can be taken for it: read as a batch, a record's only "record" is its impression_id of 16 bytes.
 */
export function recordsOf(letter: LetterContent, reader: LetterReader): readonly DecodedRecord[] {
  const record = {
    bytes: letter.bytes,
    facts: reader.record(letter.bytes),
    dimensions: NO_DIMENSIONS,
    person: undefined,
  };
  const mayBeMessage = letter.index === 0 && letter.reason === 'undecodable' && record.facts === undefined;
  const inside = mayBeMessage ? reader.batch(letter.bytes)?.records : undefined;
  return inside === undefined || inside.length === 0 ? [record] : inside;
}

/**
 * Decides by the judge that buried it, so what is published is not buried again.
 * @param table as read just now
 */
export function planRedrive(letter: LetterContent, reader: LetterReader, table: RoutingTable): RedrivePlan {
  const records = recordsOf(letter, reader);
  const shards = new Set<number>();
  let neededMs = 0;
  for (const record of records) {
    const outcome = judgeRecord(record, table);
    if (outcome.kind === 'undecodable') return { kind: 'unreadable', why: 'still undecodable' };
    if (outcome.kind === 'unjudgeable')
      return { kind: 'unreadable', why: `still unjudgeable: ${outcome.error}` };
    const { facts } = outcome.click;
    shards.add(outcome.shard);
    if (!table.isFromTheFuture(facts)) neededMs = Math.max(neededMs, table.neededClosedUntilMs(facts));
  }
  // I3: beyond closed_until an entry may still come that routes these clicks elsewhere.
  if (neededMs > table.closedUntilMs) return { kind: 'left', why: tooEarly(neededMs, table.closedUntilMs) };
  const [shard, another] = shards;
  if (shard === undefined || another !== undefined) {
    const names = [...shards].join(' and ');
    return { kind: 'left', why: `its records belong to shards ${names}; a message holds those of one` };
  }
  return { kind: 'publish', shard, records: records.map(({ bytes }) => bytes) };
}

function tooEarly(neededMs: number, closedUntilMs: number): string {
  const [needed, closed] = [neededMs, closedUntilMs].map((ms) => new Date(ms).toISOString());
  return `it needs a closed_until of ${needed}, the routing table's is ${closed}; redrive it when that was raised`;
}

/** The same for the same letter: the broker absorbs a second publish, after a crash or beside another redrive. */
export function redriveMessageId({ shard, incarnation, sequence, index }: Position): string {
  return `redrive-${shard}-${incarnation}-${sequence}-${index}`;
}
