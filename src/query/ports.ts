/** What the query service needs of the outside; main.ts hands it the adapters. */
import type { LiveDelta, LiveRequest, PastAggregates, StoredAggregates } from '../domain/aggregates.ts';
import type { Granularity } from '../domain/granularity.ts';

export interface TimeRange {
  /** Half-open, on whole minutes, milliseconds since the Unix epoch. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Stored counts and checkpoints, as of one moment; at most `rowsMax` rows. */
export type ReadStored = (
  adIds: readonly string[],
  range: TimeRange,
  granularity: Granularity,
  rowsMax: number,
) => Promise<StoredAggregates>;

/** The same as it stood at a moment, milliseconds since the Unix epoch by the database's clock. */
export type ReadPast = (asOfMs: number, ...asked: Parameters<ReadStored>) => Promise<PastAggregates>;

/** An owner's unflushed deltas; undefined where it did not answer in time. */
export type AskOwner = (owner: string, request: LiveRequest) => Promise<LiveDelta[] | undefined>;

export interface Log {
  error(facts: object, message: string): void;
}
