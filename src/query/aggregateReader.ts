/**
 * Reads what was counted, up to the second: rows and checkpoints in one snapshot, then from each owner what it has
 * counted beyond its checkpoint. It never guesses: where an owner does not answer, the answer says so.
 */
import type { LiveDelta, OwnedCheckpoint } from '../domain/aggregates.ts';
import type { Granularity } from '../domain/granularity.ts';
import { type MergedAggregates, matchDeltas, mergeAggregates, settledRows } from './mergedAggregates.ts';
import type { AskOwner, ReadPast, ReadStored, TimeRange } from './ports.ts';

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

  async read(
    adIds: readonly string[],
    range: TimeRange,
    granularity: Granularity,
    rowsMax: number,
  ): Promise<MergedAggregates> {
    const shape = { range, granularity };
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#parts.readStored(adIds, range, granularity, rowsMax);
      // Nothing that an owner has not flushed yet belongs to it.
      if (range.toMs <= stored.settlement.watchedThroughMs) return mergeAggregates(stored, [], [], shape);
      const answers = await this.#ask(stored.checkpoints, adIds, range);
      const match = matchDeltas(stored.checkpoints, answers);
      if (match.kind === 'matched') return mergeAggregates(stored, match.deltas, match.missing, shape);
      if (attempt === ATTEMPTS_MAX) return mergeAggregates(stored, [], stored.checkpoints, shape);
      await Bun.sleep(RETRY_MS * attempt);
    }
  }

  /** As it stood at a moment; unflushed counts play no part, because then they were not settled. */
  async readPast(
    asOfMs: number,
    adIds: readonly string[],
    range: TimeRange,
    granularity: Granularity,
    rowsMax: number,
  ): Promise<PastReading> {
    const past = await this.#parts.readPast(asOfMs, adIds, range, granularity, rowsMax);
    if (past.kind !== 'read') return past;
    const rows = settledRows(past, { range, granularity });
    return { kind: 'read', ...rows, arrivedThroughMs: 0, missingShards: [] };
  }

  async #ask(
    checkpoints: readonly OwnedCheckpoint[],
    adIds: readonly string[],
    { fromMs, toMs }: TimeRange,
  ): Promise<Map<string, LiveDelta[] | undefined>> {
    const owners = new Set<string>();
    for (const { owner } of checkpoints) if (owner !== undefined) owners.add(owner);
    const answers = await Promise.all(
      [...owners].map(
        async (owner) => [owner, await this.#parts.askOwner(owner, { adIds, fromMs, toMs })] as const,
      ),
    );
    return new Map(answers);
  }
}
