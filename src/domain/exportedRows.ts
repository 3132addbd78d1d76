/** All rows of a question as of one moment, read a portion at a time. */
import type { SettledAggregates, StoredRow } from './aggregates.ts';

/** Holds a connection until it is closed. */
export interface OpenedRows extends Omit<SettledAggregates, 'rows'> {
  /** Everything that arrived before this moment is in the rows, milliseconds since the Unix epoch. */
  readonly arrivedThroughMs: number;
  /** By group, then by time; undefined: there are no more. A portion may be empty. */
  next(): Promise<RowPortion | undefined>;
  /** May be called again. */
  close(): void;
}

export interface RowPortion {
  readonly rows: readonly StoredRow[];
  /** About which part of everything was read before it, from 0 to 1. */
  readonly progress: number;
}
