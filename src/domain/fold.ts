/**
 * The fold (I4): what a shard remembers of its stream, and the verdict it gives on each record. This is its
 * definition; the live path runs the same steps as a script inside Redis (adapters/redis/fold.lua), and a test
 * holds the two against each other.
 *
 * Two last-seen times are kept: of the identity (set by every record whose content is billable, duplicates too)
 * and of (identity, click_id) (set by every record). Seen means: last seen at or after stream time - horizon.
 * There is no winner to remember, so a fold that starts one horizon back judges as the whole fold does.
 *
 * Times here are whole seconds of stream time. Cutting to seconds keeps an entry small; it is the same everywhere,
 * and `horizonStartMs` is cut alike, so a rebuilt memory starts early enough.
 */

import type { ClickFacts } from './clickRecord.ts';
import { CLICK_HASH_BYTES, IDENTITY_HASH_BYTES, writeClickHash, writeIdentityHash } from './identity.ts';

/** What the fold says of a record. CONTENT: the judge's refusal stands. */
export type FoldVerdict = 'DUPLICATE' | 'CONTENT' | 'REPEAT' | 'VALID';

/** One letter a verdict: what the script in Redis stores and returns, a letter a record. */
export const VERDICT_LETTERS: Readonly<Record<string, FoldVerdict>> = {
  D: 'DUPLICATE',
  C: 'CONTENT',
  R: 'REPEAT',
  V: 'VALID',
};

/** What a fold's memory answers when it is given a message (I5). */
export type FoldReply =
  /** A letter a record. */
  | { readonly kind: 'verdicts'; readonly letters: string }
  /** Filled in, as asked. */
  | { readonly kind: 'done' }
  /** There is no memory of this shard. */
  | { readonly kind: 'none' }
  /** This message was folded, and its verdicts are not there any more (or never were). */
  | { readonly kind: 'gone' }
  /** Messages before this one are not folded yet: the next to fold is `through` + 1. */
  | {
      readonly kind: 'behind';
      readonly through: number;
      readonly warm: number;
      readonly streamTimeMs: number;
    };

/** A record as the fold sees it: identity hash, click hash, 1 where its content is billable. */
export const FOLD_RECORD_BYTES = IDENTITY_HASH_BYTES + CLICK_HASH_BYTES + 1;

/** Writes what the fold needs of a record at `offset` of `target` (`FOLD_RECORD_BYTES`). */
export function writeFoldRecord(
  facts: ClickFacts,
  billable: boolean,
  target: DataView,
  offset: number,
): void {
  writeIdentityHash(facts, target, offset);
  writeClickHash(facts, target, offset + IDENTITY_HASH_BYTES);
  target.setUint8(offset + IDENTITY_HASH_BYTES + CLICK_HASH_BYTES, billable ? 1 : 0);
}

/** Stream time in whole seconds, as the fold counts it. */
export function foldSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** A memory that holds every message with this timestamp or a later one judges everything from `streamTimeMs` on. */
export function horizonStartMs(streamTimeMs: number, horizonMs: number): number {
  return Math.max(0, (foldSeconds(streamTimeMs) - foldSeconds(horizonMs)) * 1000);
}

/** The verdict on a record, by what is seen of its click and its identity. */
export function verdictLetter(
  billable: boolean,
  clickSeen: boolean,
  identitySeen: boolean,
): 'D' | 'C' | 'R' | 'V' {
  if (clickSeen) return 'D';
  if (!billable) return 'C';
  return identitySeen ? 'R' : 'V';
}

/** The fold over a memory of its own: the definition. For recounts there is `wholeFold.ts`. */
export class Fold {
  readonly #horizonSeconds: number;
  readonly #identities = new Map<string, number>();
  readonly #clicks = new Map<string, number>();
  #streamSeconds = 0;

  constructor(horizonMs: number) {
    this.#horizonSeconds = foldSeconds(horizonMs);
  }

  /**
   * Judges one message's records, in order.
   * @param records n × `FOLD_RECORD_BYTES` bytes, as `writeFoldRecord` writes them
   * @returns a letter a record (`VERDICT_LETTERS`)
   */
  apply(timestampMs: number, records: Buffer): string {
    this.#streamSeconds = Math.max(this.#streamSeconds, foldSeconds(timestampMs));
    let letters = '';
    for (let offset = 0; offset < records.length; offset += FOLD_RECORD_BYTES) {
      const identity = records.toString('latin1', offset, offset + IDENTITY_HASH_BYTES);
      const click = records.toString('latin1', offset, offset + IDENTITY_HASH_BYTES + CLICK_HASH_BYTES);
      letters += this.#judge(identity, click, records[offset + FOLD_RECORD_BYTES - 1] === 1);
    }
    return letters;
  }

  #judge(identity: string, click: string, billable: boolean): string {
    const clickSeen = this.#isSeen(this.#clicks.get(click));
    const identitySeen = this.#isSeen(this.#identities.get(identity));
    this.#clicks.set(click, this.#streamSeconds);
    if (billable) this.#identities.set(identity, this.#streamSeconds);
    return verdictLetter(billable, clickSeen, identitySeen);
  }

  #isSeen(lastSeconds: number | undefined): boolean {
    return lastSeconds !== undefined && lastSeconds >= this.#streamSeconds - this.#horizonSeconds;
  }
}
