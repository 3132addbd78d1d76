/** What an owner writes down in one transaction: its delta, and how far its checkpoint moves (I8). */
import type { DeadLetter } from './deadLetter.ts';
import type { RollupRow } from './dimensions.ts';
import type { WindowCounts } from './windowCounts.ts';

export interface DeltaRow {
  readonly adId: string;
  /** First millisecond of the minute window. */
  readonly minute: number;
  readonly counts: Readonly<WindowCounts>;
}

/** Who was seen in valid and repeat clicks. */
export interface PeopleDelta {
  readonly adId: string;
  /** First millisecond of the hour of UTC. */
  readonly hour: number;
  /** What stands for each person (people.ts). */
  readonly keys: ReadonlySet<bigint>;
}

export interface Flush {
  readonly shard: number;
  readonly incarnation: string;
  /** The checkpoint must be just here for the flush to take effect. */
  readonly epoch: number;
  readonly claim: string;
  readonly floor: number;
  /** And this is where it moves. */
  readonly newFloor: number;
  readonly streamTimeMs: number;
  readonly arrivedThroughMs: number;
  readonly rows: readonly DeltaRow[];
  /** Of each ad and hour one. */
  readonly people: readonly PeopleDelta[];
  /** The rules by which clicks of each row's minute are judged. */
  readonly ruleSetVersions: readonly number[];
  /** The same clicks by their dimensions; no two rows of the same ad, kind, quarter and values. */
  readonly rollups: readonly RollupRow[];
  /** Records between the two floors: received clicks + duplicates + dead letters. */
  readonly records: number;
  readonly duplicates: number;
  readonly deadLetters: readonly DeadLetter[];
}

export type FlushOutcome =
  /** The counts and the floor have moved, now or in an earlier try whose answer was lost. */
  | { readonly kind: 'stored' }
  /** Somebody else owns the shard, or the ledger went back to an earlier state: drop everything and reload. */
  | { readonly kind: 'fenced'; readonly found: string };
