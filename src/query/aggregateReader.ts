/**
 * Reads what was counted, up to the second: rows and checkpoints in one snapshot, then from each owner what it has
 * counted beyond its checkpoint. It never guesses: where an owner does not answer, the answer says so.
 */
import type { LiveDelta, OwnedCheckpoint } from '../domain/aggregates.ts';
import type { Granularity } from '../domain/granularity.ts';
import { type MergedAggregates, matchDeltas, mergeAggregates } from './mergedAggregates.ts';
import type { AskOwner, ReadStored, TimeRange } from './ports.ts';

/** A flush takes milliseconds and comes every few seconds, so a second try nearly always matches. */
const ATTEMPTS_MAX = 8;
const RETRY_MS = 10;

export interface AggregateReaderParts {
  readonly readStored: ReadStored;
  readonly askOwner: AskOwner;
}

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
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#parts.readStored(adIds, range, granularity, rowsMax);
      const answers = await this.#ask(stored.checkpoints, adIds, range);
      const match = matchDeltas(stored.checkpoints, answers);
      if (match.kind === 'matched') return mergeAggregates(stored, match.deltas, match.missing, granularity);
      if (attempt === ATTEMPTS_MAX) return mergeAggregates(stored, [], stored.checkpoints, granularity);
      await Bun.sleep(RETRY_MS * attempt);
    }
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
