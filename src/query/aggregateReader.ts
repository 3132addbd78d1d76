/**
 * Reads what was counted, up to the second: rows and checkpoints in one snapshot, then from each owner what it has
 * counted beyond its checkpoint. It never guesses: where an owner does not answer, the answer says so.
 */
import type { LiveDelta, LiveRequest, OwnedCheckpoint } from '../domain/aggregates.ts';
import { kindAsked, type Question, takesEveryAd } from '../domain/question.ts';
import { type MergedAggregates, matchDeltas, mergeAggregates, mergedRows } from './mergedAggregates.ts';
import type { AskOwner, ReadPast, ReadStored } from './ports.ts';

/** A flush takes milliseconds and comes every few seconds, so a second try nearly always matches. */
const ATTEMPTS_MAX = 8;
const RETRY_MS = 10;
/** Names of more do not surely fit one message to an owner. */
const ADS_A_REQUEST_MAX = 1_000;

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
      const requests = liveRequests(question);
      const answers = await this.#ask(stored.checkpoints, requests);
      signal?.throwIfAborted();
      const match = matchDeltas(stored.checkpoints, answers, requests.length);
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

  async #ask(
    checkpoints: readonly OwnedCheckpoint[],
    requests: readonly LiveRequest[],
  ): Promise<Map<string, LiveDelta[] | undefined>> {
    const owners = new Set<string>();
    for (const { owner } of checkpoints) if (owner !== undefined) owners.add(owner);
    const answers = await Promise.all(
      [...owners].map(async (owner) => {
        const parts = await Promise.all(requests.map((request) => this.#parts.askOwner(owner, request)));
        const deltas: LiveDelta[] = [];
        for (const part of parts) {
          if (part === undefined) return [owner, undefined] as const;
          deltas.push(...part);
        }
        return [owner, deltas] as const;
      }),
    );
    return new Map(answers);
  }
}

/** What owners are asked: one request for all ads, or one for each so many. */
function liveRequests(question: Question): LiveRequest[] {
  const kind = kindAsked(question);
  const request = (adIds: readonly string[] | undefined): LiveRequest => ({
    adIds,
    ...question.range,
    ...(kind !== undefined && { kind }),
  });
  const { ads } = question;
  if (ads === undefined) return [request(undefined)];
  const requests: LiveRequest[] = [];
  for (let first = 0; first < ads.length; first += ADS_A_REQUEST_MAX) {
    requests.push(request(ads.slice(first, first + ADS_A_REQUEST_MAX).map(({ ad_id }) => ad_id)));
  }
  return requests;
}
