/**
 * One message on its way into the counts: its records checked and judged, then counted by the fold's verdicts. A
 * function of the message and the routing table alone, so the owner, its successor and a replay agree (I11).
 */
import type { ClickBatch, DecodedRecord } from './clickBatch.ts';
import type { ClickFacts } from './clickRecord.ts';
import type { DeadLetter } from './deadLetter.ts';
import { FOLD_RECORD_BYTES, VERDICT_LETTERS, writeFoldRecord } from './fold.ts';
import { checkHashable } from './identity.ts';
import { isEventTimePossible, type Judgement, judge } from './judge.ts';
import type { RoutingTable } from './routingTable.ts';
import type { RuleSet } from './ruleSet.ts';
import type { RulesInForce } from './rulesInForce.ts';
import { type Disposition, minuteOf } from './windowCounts.ts';

export interface JudgedMessage {
  readonly clicks: readonly JudgedClick[];
  readonly deadLetters: readonly DeadLetter[];
}

export interface JudgedClick {
  readonly facts: ClickFacts;
  /** Where its dimensions and its person are. */
  readonly record: Pick<DecodedRecord, 'dimensions' | 'person'>;
  readonly judgement: Judgement;
  /** First millisecond of the minute window in which the click is counted. */
  readonly minute: number;
}

export type RecordOutcome =
  /** `shard` is where the routing table leads the click. */
  | { readonly kind: 'judged'; readonly shard: number; readonly click: JudgedClick }
  | { readonly kind: 'undecodable' }
  | { readonly kind: 'unjudgeable'; readonly error: unknown };

/**
 * Judges the records of a message.
 * @param batch undefined where the message's bytes are no ClickBatch
 * @param table read at least up to the batch's routing sequence
 * @param rules the table's own, but where clicks are judged again
 */
export function judgeMessage(
  message: { readonly sequence: number; readonly bytes: Uint8Array },
  batch: ClickBatch | undefined,
  shard: number,
  table: RoutingTable,
  rules: RulesInForce = table,
): JudgedMessage {
  if (batch === undefined) {
    const letter: DeadLetter = {
      sequence: message.sequence,
      index: 0,
      reason: 'undecodable',
      bytes: message.bytes,
    };
    return { clicks: [], deadLetters: [letter] };
  }
  const clicks: JudgedClick[] = [];
  const deadLetters: DeadLetter[] = [];
  for (const [index, record] of batch.records.entries()) {
    const outcome = judgeRecord(record, table, rules);
    if (outcome.kind === 'judged' && outcome.shard === shard) {
      clicks.push(outcome.click);
    } else {
      const reason = outcome.kind === 'judged' ? 'misrouted' : outcome.kind;
      deadLetters.push({ sequence: message.sequence, index, reason, bytes: record.bytes });
    }
  }
  return { clicks, deadLetters };
}

/** What the fold in Redis gets to see of the clicks, in their order. */
export function foldRecordsOf(clicks: readonly JudgedClick[]): Buffer {
  const folded = Buffer.alloc(clicks.length * FOLD_RECORD_BYTES);
  const view = new DataView(folded.buffer, folded.byteOffset, folded.length);
  for (const [index, { facts, judgement }] of clicks.entries())
    writeFoldRecord(facts, judgement.kind === 'billable', view, index * FOLD_RECORD_BYTES);
  return folded;
}

/**
 * Judges a record. It never throws: one record must not stop a shard. Nothing here waits, asks or remembers, so what
 * fails once fails for whoever reads the record (I11).
 */
export function judgeRecord(
  record: DecodedRecord,
  table: RoutingTable,
  rules: RulesInForce = table,
): RecordOutcome {
  const { facts } = record;
  if (facts === undefined) return UNDECODABLE;
  try {
    checkHashable(facts);
    const click = judgeClick(facts, record, rules.rulesOf(facts));
    return { kind: 'judged', shard: table.route(facts), click };
  } catch (error) {
    return { kind: 'unjudgeable', error };
  }
}

const UNDECODABLE: RecordOutcome = Object.freeze({ kind: 'undecodable' });

function judgeClick(facts: ClickFacts, record: DecodedRecord, rules: RuleSet): JudgedClick {
  // An event time that cannot be believed would open windows anywhere between 1970 and 287,396.
  const bookedMs = isEventTimePossible(facts, rules) ? facts.eventTimeMs : facts.receivedMs;
  return { facts, record, judgement: judge(facts, rules), minute: minuteOf(bookedMs) };
}

/**
 * Hands every click that is no duplicate to `count`, and says how many duplicates there were.
 * @param letters the fold's verdicts, a letter a click
 */
export function countJudged(
  message: JudgedMessage,
  letters: string,
  count: (click: JudgedClick, disposition: Disposition) => void,
): number {
  if (letters.length !== message.clicks.length) {
    throw new Error(`the fold gave ${letters.length} verdicts on ${message.clicks.length} clicks`);
  }
  // All before the first is counted: a message is counted whole or not at all.
  const dispositions = message.clicks.map(({ judgement }, index) => dispositionOf(judgement, letters[index]));
  let duplicates = 0;
  for (const [index, click] of message.clicks.entries()) {
    const disposition = dispositions[index];
    if (disposition === undefined) duplicates += 1;
    else count(click, disposition);
  }
  return duplicates;
}

/** undefined: a duplicate, which is in no bucket. */
function dispositionOf(judgement: Judgement, letter = ''): Disposition | undefined {
  const verdict = VERDICT_LETTERS[letter];
  switch (verdict) {
    case 'DUPLICATE':
      return undefined;
    case 'VALID':
    case 'REPEAT':
      if (judgement.kind === 'billable') return verdict;
      break;
    case 'CONTENT':
      if (judgement.kind === 'refused') return judgement.disposition;
      break;
  }
  throw new Error(`the fold's verdict ${letter} does not fit a click that is ${judgement.kind}`);
}
