/**
 * Keeps the drain from sending what is on a stream already and would be counted again. Copies of a batch are absorbed by
 * the broker for two minutes and recognised by the fold for `DEDUP_HORIZON` (I4). So what is older than half of that, by
 * the gateway's clock, is looked up on its stream first; the other half is left for clocks and for the way there.
 *
 * It is looked up also where nothing says that it was sent: any drain before this one may have done it, and been killed
 * before it could say so.
 */
import type { SpoolEntry, SpoolLane } from '../domain/spoolEntry.ts';
import type { FindStanding, Log } from './ports.ts';

export interface OldBatchesParts {
  readonly findStanding: FindStanding;
  readonly dedupHorizonMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly log: Log;
}

type Batch = Extract<SpoolEntry, { kind: 'batch' }>;

export class OldBatches {
  readonly #parts: OldBatchesParts;
  /** Shards of which was said that their streams cannot be searched. */
  readonly #troubled = new Set<number>();

  constructor(parts: OldBatchesParts) {
    this.#parts = parts;
  }

  /**
   * The entries without those that are old and stand on their streams.
   * @param silent shards that are not asked; one whose stream cannot be searched now becomes one of them
   */
  async withoutStanding(
    entries: readonly SpoolEntry[],
    silent: Set<SpoolLane>,
    stop: AbortSignal,
  ): Promise<SpoolEntry[]> {
    const standing = new Set<SpoolEntry>();
    const search = async ([shard, old]: [number, Batch[]]) => {
      const found = await this.#find(shard, old, stop);
      if (found === undefined) silent.add(shard);
      for (const batch of old) if (found?.has(batch.batchId)) standing.add(batch);
    };
    await Promise.all([...this.#old(entries, silent)].map(search));
    return entries.filter((entry) => !standing.has(entry));
  }

  /** By shard. */
  #old(entries: readonly SpoolEntry[], silent: ReadonlySet<SpoolLane>): Map<number, Batch[]> {
    const { clock, dedupHorizonMs } = this.#parts;
    const beforeMs = clock() - dedupHorizonMs / 2;
    const isOld = (entry: SpoolEntry): entry is Batch =>
      entry.kind === 'batch' && entry.madeMs < beforeMs && !silent.has(entry.shard);
    return Map.groupBy(entries.filter(isOld), ({ shard }) => shard);
  }

  /** undefined: it cannot be known now. */
  async #find(
    shard: number,
    old: readonly Batch[],
    stop: AbortSignal,
  ): Promise<ReadonlySet<string> | undefined> {
    const { findStanding, log } = this.#parts;
    const ids = new Set(old.map(({ batchId }) => batchId));
    const sinceMs = old.reduce((first, { madeMs }) => Math.min(first, madeMs), Infinity);
    try {
      const found = await findStanding(shard, ids, sinceMs, stop);
      this.#troubled.delete(shard);
      return found;
    } catch (error) {
      if (!stop.aborted && !this.#troubled.has(shard)) {
        this.#troubled.add(shard);
        log.warn(
          { shard, err: error },
          'the stream cannot be searched for old clicks of the spool; they wait',
        );
      }
      return undefined;
    }
  }
}
