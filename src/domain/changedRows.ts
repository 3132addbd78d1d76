/** Stored minutes of followed ads as they change: a reading gives what may have changed since the one before. */
import type { OwnedCheckpoint } from './aggregates.ts';
import type { Settlement } from './settlement.ts';
import type { DispositionCounts } from './windowCounts.ts';

export interface AskedAd {
  readonly adId: string;
  /** Minutes from here on, milliseconds since the Unix epoch. */
  readonly fromMs: number;
}

/** How far a reading saw. */
export interface ChangeMark {
  /** Of the oldest transaction that it may not have seen, modulo 2^32. */
  readonly transaction: number;
  /** Whatever changes counts moves this, in the same transaction. */
  readonly counted: string;
  readonly floors: readonly number[];
}

export interface ChangesAsked {
  /** Read in full. */
  readonly fresh: readonly AskedAd[];
  /** Of these only what may have changed since `mark`. */
  readonly known: readonly AskedAd[];
  readonly mark: ChangeMark;
}

/** Stored counts of one ad in one minute window. */
export interface StoredMinute extends DispositionCounts {
  readonly adId: string;
  readonly minute: number;
  /** How often it was restated. */
  readonly revision: number;
}

/** As of one moment. */
export interface ChangedRows {
  readonly rows: readonly StoredMinute[];
  readonly checkpoints: readonly OwnedCheckpoint[];
  readonly settlement: Settlement;
  /** All windows of the ads that a replay found to differ. */
  readonly differing: readonly Pick<StoredMinute, 'adId' | 'minute'>[];
  readonly mark: ChangeMark;
  /** PostgreSQL has gone back to an earlier state: what changed cannot be told, and everything must be read anew. */
  readonly isSetBack: boolean;
}

/** Nothing was read yet. */
export const NO_MARK: ChangeMark = { transaction: 0, counted: '', floors: [] };
