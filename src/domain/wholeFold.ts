/**
 * The fold of a recount: it keeps the last-seen times of the fold (I4) and forgets nothing, so it also recognises what
 * comes again after a longer silence than the horizon. Both folds set the same times at each record; so one memory tells
 * what the live fold said, and which records it could not recognise: those are `isLate`.
 *
 * An identity's records depend on nothing but each other and the stream time, so the identities of a shard may be folded
 * part by part, each part by a fold of its own.
 */
import { foldSeconds, verdictLetter } from './fold.ts';
import type { ReplayRecord } from './replayRecord.ts';

export interface WholeVerdict {
  /** As in `VERDICT_LETTERS`. */
  readonly letter: 'D' | 'C' | 'R' | 'V';
  /** The live fold said something else, because it had forgotten. */
  readonly isLate: boolean;
}

export class WholeFold {
  readonly #horizonSeconds: number;
  readonly #identities = new Map<string, number>();
  readonly #clicks = new Map<string, number>();

  constructor(horizonMs: number) {
    this.#horizonSeconds = foldSeconds(horizonMs);
  }

  /** Judges the next record of the stream. */
  judge({ streamSeconds, identity, click, refused }: ReplayRecord): WholeVerdict {
    const billable = refused === undefined;
    const clickAt = this.#clicks.get(click);
    const identityAt = this.#identities.get(identity);
    this.#clicks.set(click, streamSeconds);
    if (billable) this.#identities.set(identity, streamSeconds);
    const letter = verdictLetter(billable, clickAt !== undefined, identityAt !== undefined);
    const since = streamSeconds - this.#horizonSeconds;
    const live = verdictLetter(billable, isWithin(since, clickAt), isWithin(since, identityAt));
    return { letter, isLate: letter !== live };
  }
}

function isWithin(sinceSeconds: number, atSeconds: number | undefined): boolean {
  return atSeconds !== undefined && atSeconds >= sinceSeconds;
}
