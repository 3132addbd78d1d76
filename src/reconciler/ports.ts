/** What a recount needs of the outside; the command hands it the adapters. */
import type { AdDifference, Compared, Differences } from '../domain/difference.ts';
import type { RecountedPortion, WindowSelection } from '../domain/recount.ts';
import type { CountedShard } from '../domain/replayRange.ts';
import type { RestatementChunk, RunStepOutcome } from '../domain/restatement.ts';
import type { Reclassification } from '../domain/rulesInForce.ts';
import type { Settlement, SettlingStep, ShardArrival } from '../domain/settlement.ts';

/** Files for the parts of a shard that is too large to be folded at once. Nobody else sees them. */
export interface Spill {
  append(part: number, bytes: Uint8Array): void;
  /** Everything appended to the part, in pieces. */
  read(part: number): Iterable<Buffer>;
  close(): void;
}

/** Stored counts and checkpoints as of one moment, and beside them what is recounted. */
export interface RecountSession {
  readonly shards: readonly CountedShard[];
  /** In the order in which they were made. */
  readonly reclassifications: readonly Reclassification[];
  add(portion: RecountedPortion): Promise<void>;
  /**
   * After the last `add`: holds the recount against the counts of the selected windows, and their rollups.
   * @param withDimensions whether clicks were recounted by dimensions too
   */
  compare(selection: WindowSelection, withDimensions: boolean): Promise<Compared>;
  /** What `compare` found, so many at a time: an ad's windows and rollups of a UTC day together, where these fit. */
  differences(most: number): AsyncIterable<Differences>;
  /** The same by ad: those of which most valid clicks change, at most so many. */
  adDifferences(most: number): Promise<readonly AdDifference[]>;
  /** After the last restatement: writes down what is settled now, and which windows are not. */
  settle(step: SettlingStep): Promise<RunStepOutcome>;
  close(): Promise<void>;
}

export interface Settling {
  read(): Promise<Settlement>;
  /** Of every shard whose stream exists (I16). */
  arrivals(): Promise<readonly ShardArrival[]>;
  /** From its end on, every change of a minute before `throughMs` is a restatement; what was not is stored. */
  watch(throughMs: number): Promise<void>;
}

export interface Restatements {
  /** A new run: what an earlier one still sends is refused. */
  begin(): Promise<number>;
  /** The run's first step, before anything is restated. May be tried again after any error: it takes effect once. */
  reclassify(run: number, reclassification: Reclassification): Promise<RunStepOutcome>;
  /** May be tried again after any error: it takes effect once. */
  restate(chunk: RestatementChunk): Promise<RunStepOutcome>;
}
