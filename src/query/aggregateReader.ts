/**
 * Reads what was counted, up to the second: rows and checkpoints in one snapshot, then from each owner what it has
 * counted beyond its checkpoint. It never guesses: where an owner does not answer, the answer says so.
 */
import { kindAsked, type Question, takesEveryAd } from '../domain/question.ts';
import { type MergedAggregates, mergeAggregates, mergedRows } from './mergedAggregates.ts';
import { askOwners } from './ownerDeltas.ts';
import type { AskOwner, ReadPast, ReadStored } from './ports.ts';

/** A flush takes milliseconds and comes every few seconds, so a second try nearly always matches. */
const ATTEMPTS_MAX = 8;
const RETRY_MS = 10;

export interface AggregateReaderParts {
  readonly readStored: ReadStored;
  readonly readPast: ReadPast;
  readonly askOwner: AskOwner;
}

export type PastReading =
  | ({ readonly kind: 'read' } & MergedAggregates)
  | { readonly kind: 'future'; readonly nowMs: number }
  | { readonly kind: 'pending' };

export class AggregateReader {
  readonly #parts: AggregateReaderParts;

  constructor(parts: AggregateReaderParts) {
    this.#parts = parts;
  }

  async read(question: Question, rowsMax: number, signal?: AbortSignal): Promise<MergedAggregates> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#parts.readStored(question, rowsMax, signal);
      // Nothing that an owner has not flushed yet belongs to it; or it is asked of what was flushed.
      const isStored =
        question.range.toMs <= stored.settlement.watchedThroughMs ||
        takesEveryAd(question) ||
        question.ads?.length === 0;
      if (isStored) return mergeAggregates(stored, [], [], question);
      const adIds = question.ads?.map(({ ad_id }) => ad_id);
      const kind = kindAsked(question);
      const match = await askOwners(this.#parts.askOwner, stored.checkpoints, adIds, {
        ...question.range,
        ...(kind !== undefined && { kind }),
      });
      signal?.throwIfAborted();
      if (match.kind === 'matched') return mergeAggregates(stored, match.deltas, match.missing, question);
      if (attempt === ATTEMPTS_MAX) return mergeAggregates(stored, [], stored.checkpoints, question);
      await Bun.sleep(RETRY_MS * attempt);
    }
  }

  /** As it stood at a moment; unflushed counts play no part, because then they were not settled. */
  async readPast(
    asOfMs: number,
    question: Question,
    rowsMax: number,
    signal?: AbortSignal,
  ): Promise<PastReading> {
    const past = await this.#parts.readPast(asOfMs, question, rowsMax, signal);
    if (past.kind !== 'read') return past;
    return { kind: 'read', ...mergedRows(past, question), arrivedThroughMs: 0, missingShards: [] };
  }
}
