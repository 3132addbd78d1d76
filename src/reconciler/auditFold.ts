/**
 * What became of records, by a fold over all records of their identities: with the horizon, as live counting folds (I4),
 * and beside it with a memory that forgets nothing of what was read. It also knows what a record repeats.
 */
import type { ClickFacts } from '../domain/clickRecord.ts';
import { Fold, type FoldVerdict, foldSeconds, VERDICT_LETTERS } from '../domain/fold.ts';
import type { Judgement } from '../domain/judge.ts';
import { foldRecordsOf } from '../domain/judgedMessage.ts';
import type { Position } from '../domain/position.ts';
import { replayRecords } from '../domain/replayRecord.ts';
import { WholeFold } from '../domain/wholeFold.ts';
import type { Disposition } from '../domain/windowCounts.ts';
import { type DeadRecord, identityKey, type StandingMessage } from './standingRecords.ts';

export type Fate = Disposition | 'DUPLICATE' | 'DEAD_LETTER';

export interface AuditedRecord {
  readonly position: Position;
  /** The broker's timestamp of its message, milliseconds since the Unix epoch. */
  readonly storedMs: number;
  /** undefined: it cannot be decoded. */
  readonly facts: ClickFacts | undefined;
  /** First millisecond of the minute window in which it is counted; undefined: in none. */
  readonly minute: number | undefined;
  /** With a memory that forgets nothing of what was read. */
  readonly fate: Fate;
  /** What live counting made of it. */
  readonly countedAs: Fate;
  /** Why it is not valid; empty where it is. */
  readonly reason: string;
  readonly repeats: Position | undefined;
}

export class AuditFold {
  readonly #live: Fold;
  readonly #whole: WholeFold;
  /** By identity and click_id: where it was seen first. */
  readonly #clicks = new Map<string, Position>();
  /** By identity: its first billable click. */
  readonly #billable = new Map<string, Position>();

  constructor(dedupHorizonMs: number) {
    this.#live = new Fold(dedupHorizonMs);
    this.#whole = new WholeFold(dedupHorizonMs);
  }

  /** The clicks of the next message, in their order. All records of their identities must come by. */
  judge({ streamMs, storedMs, judged, positions }: StandingMessage): AuditedRecord[] {
    const letters = this.#live.apply(streamMs, foldRecordsOf(judged.clicks));
    const records = replayRecords({ ...judged, deadLetters: [] }, foldSeconds(streamMs), false);
    return records.flatMap((record, index) => {
      const click = judged.clicks[index];
      const position = positions[index];
      if (click === undefined || position === undefined) return [];
      const { facts, judgement, minute } = click;
      const { letter } = this.#whole.judge(record);
      const verdict = VERDICT_LETTERS[letter] ?? 'DUPLICATE';
      const repeats = this.#origin(facts, judgement, verdict, position);
      return {
        position,
        storedMs,
        facts: ownFacts(facts),
        minute,
        fate: fateOf(verdict, judgement),
        countedAs: fateOf(VERDICT_LETTERS[letters[index] ?? ''] ?? 'DUPLICATE', judgement),
        reason: reasonOf(verdict, judgement),
        repeats,
      };
    });
  }

  /** Where stands what it repeats; remembers where it stands itself. */
  #origin(
    facts: ClickFacts,
    judgement: Judgement,
    verdict: FoldVerdict,
    position: Position,
  ): Position | undefined {
    const identity = `${facts.adId} ${identityKey(facts)}`;
    const click = `${identity} ${facts.clickId.toHex()}`;
    const firstClick = this.#clicks.get(click);
    const firstBillable = this.#billable.get(identity);
    if (firstClick === undefined) this.#clicks.set(click, position);
    if (judgement.kind === 'billable' && firstBillable === undefined) this.#billable.set(identity, position);
    if (verdict === 'DUPLICATE') return firstClick;
    return verdict === 'REPEAT' ? firstBillable : undefined;
  }
}

/** A record that could not be judged. */
export function deadRecord({ position, reason, facts }: DeadRecord, storedMs: number): AuditedRecord {
  return {
    position,
    storedMs,
    facts: facts && ownFacts(facts),
    minute: undefined,
    fate: 'DEAD_LETTER',
    countedAs: 'DEAD_LETTER',
    reason,
    repeats: undefined,
  };
}

/** The ids are parts of the whole message, which would stay in memory with them. */
function ownFacts(facts: ClickFacts): ClickFacts {
  const { clickId, impressionId } = facts;
  return {
    ...facts,
    clickId: new Uint8Array(clickId),
    impressionId: impressionId && new Uint8Array(impressionId),
    userAgent: undefined,
  };
}

function fateOf(verdict: FoldVerdict, judgement: Judgement): Fate {
  if (verdict !== 'CONTENT') return verdict;
  return judgement.kind === 'refused' ? judgement.disposition : 'VALID';
}

function reasonOf(verdict: FoldVerdict, judgement: Judgement): string {
  switch (verdict) {
    case 'VALID':
      return '';
    case 'REPEAT':
      return 'same_impression';
    case 'DUPLICATE':
      return 'same_click';
    case 'CONTENT':
      return judgement.kind === 'refused' ? judgement.reason : '';
  }
}
