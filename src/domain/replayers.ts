/** Who replays shards for a run, in its own process or in others. */
import type { RecountedPortion, WindowSelection } from './recount.ts';
import type { ReplayRange } from './replayRange.ts';
import type { Reclassification } from './rulesInForce.ts';

/** What of a shard is replayed, and how it is counted. Plain data: it may go to another process. */
export interface ReplayOrder {
  readonly range: ReplayRange;
  /** No more than so many records are expected in the range. */
  readonly recordsMost: number;
  readonly selection: WindowSelection;
  /** Whether clicks are also counted by their dimensions. */
  readonly withDimensions: boolean;
  /** In the order in which they were made. */
  readonly reclassifications: readonly Reclassification[];
}

export interface ReplayHooks {
  /** Takes what was recounted; the same window may come in several portions. */
  readonly add: (portion: RecountedPortion) => Promise<void>;
  /** Hears how many records were read since it was called last. */
  readonly onRecords: (records: number) => void;
  readonly stop: AbortSignal;
}

export interface ReplayedShard {
  readonly records: number;
  readonly deadLetters: number;
}

export interface Replayers {
  /** How many shards they replay at a time. */
  readonly lanes: number;
  replay(order: ReplayOrder, hooks: ReplayHooks): Promise<ReplayedShard>;
  close(): Promise<void>;
}
