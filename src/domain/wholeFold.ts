/**
 * The fold of a recount: it keeps the last-seen times of the fold (I4) and forgets nothing, so it also recognises what
 * comes again after a longer silence than the horizon. Both folds set the same times at each record; so one memory tells
 * what the live fold said, and which records it could not recognise: those are `isLate`.
 *
 * The live fold knows identities by their hashes; this one compares them whole (identity.ts says how seldom the two
 * may differ).
 *
 * An identity's records depend on nothing but each other and the stream time, so the identities of a shard may be folded
 * part by part, each part by a fold of its own.
 */
import { foldSeconds, verdictLetter } from './fold.ts';
import { identityUuid } from './identity.ts';
import type { ReplayRecord } from './replayRecord.ts';
import { SeenTimes } from './seenTimes.ts';

export interface WholeVerdict {
  /** As in `VERDICT_LETTERS`. */
  readonly letter: 'D' | 'C' | 'R' | 'V';
  /** The live fold said something else, because it had forgotten. */
  readonly isLate: boolean;
}

export class WholeFold {
  readonly #horizonSeconds: number;
  readonly #ads = new Map<string, number>();
  /** By ad, those of impressions and those of clicks without one apart (I3). */
  readonly #identities: SeenTimes;
  /** By identity. */
  readonly #clicks: SeenTimes;

  /** @param recordsExpected it has room for so many from the start */
  constructor(horizonMs: number, recordsExpected = 0) {
    this.#horizonSeconds = foldSeconds(horizonMs);
    this.#identities = new SeenTimes(recordsExpected);
    this.#clicks = new SeenTimes(recordsExpected);
  }

  /** Judges the next record of the stream. */
  judge(record: ReplayRecord): WholeVerdict {
    const { streamSeconds, refused } = record;
    const billable = refused === undefined;
    const space = 2 * this.#adNumber(record.adId) + (record.impressionId === undefined ? 1 : 0);
    const identity = this.#identities.entryOf(space, identityUuid(record));
    const click = this.#clicks.entryOf(identity, record.clickId);
    const clickAt = this.#clicks.lastSeen(click);
    const identityAt = this.#identities.lastSeen(identity);
    this.#clicks.see(click, streamSeconds);
    if (billable) this.#identities.see(identity, streamSeconds);
    const letter = verdictLetter(billable, clickAt !== undefined, identityAt !== undefined);
    const since = streamSeconds - this.#horizonSeconds;
    const live = verdictLetter(billable, isWithin(since, clickAt), isWithin(since, identityAt));
    return (letter === live ? IN_TIME : LATE)[letter];
  }

  #adNumber(adId: string): number {
    const known = this.#ads.get(adId);
    if (known !== undefined) return known;
    const number = this.#ads.size;
    this.#ads.set(adId, number);
    return number;
  }
}

function isWithin(sinceSeconds: number, atSeconds: number | undefined): boolean {
  return atSeconds !== undefined && atSeconds >= sinceSeconds;
}

type Verdicts = Readonly<Record<WholeVerdict['letter'], WholeVerdict>>;

/** One object for each verdict: judging a record allocates none. */
function verdicts(isLate: boolean): Verdicts {
  return {
    D: { letter: 'D', isLate },
    C: { letter: 'C', isLate },
    R: { letter: 'R', isLate },
    V: { letter: 'V', isLate },
  };
}

const IN_TIME = verdicts(false);
const LATE = verdicts(true);
