/** What the gateway needs of the outside; main.ts hands it the adapters. */
import type { Ad } from '../domain/ad.ts';
import type { PublishedBatch } from '../domain/position.ts';
import type { RoutingEntry, RoutingTable } from '../domain/routingTable.ts';

/** Returns when the batch is on disk. Throws where that is not known: it may be there or not. */
export type PublishBatch = (shard: number, bytes: Uint8Array, batchId: string) => Promise<PublishedBatch>;

/**
 * Those of these batches that stand on the shard's stream, none of which was sent before `sinceMs` of the gateway's
 * clock. Throws where that cannot be known now, and when `stop` is given.
 */
export type FindStanding = (
  shard: number,
  batchIds: ReadonlySet<string>,
  sinceMs: number,
  stop: AbortSignal,
) => Promise<ReadonlySet<string>>;

export interface RoutingWriter {
  readonly table: RoutingTable;
  /** Reads what was appended since. */
  read(): Promise<void>;
  /** Appends unless somebody else did since the last read; false: decide again. */
  append(entry: RoutingEntry): Promise<boolean>;
}

/** The files of the spool, by their numbers. */
export interface SpoolFolder {
  /** What is there, in order; and the highest number among it, files set aside included. */
  list(): Promise<{ segments: { number: number; bytes: number }[]; lastNumber: number }>;
  read(number: number): Promise<Uint8Array>;
  /** Writes at `offset`, the segment's end; returns when it is on disk. */
  append(number: number, offset: number, bytes: Uint8Array): Promise<void>;
  /** Both may be tried again after they failed. */
  remove(number: number): Promise<void>;
  /** Keeps the file for people to look at. */
  setAside(number: number): Promise<void>;
}

export interface AdStore {
  /** Those of the ads that exist. */
  read(adIds: readonly string[]): Promise<Ad[]>;
  page(afterAdId: string, limit: number): Promise<Ad[]>;
  /** All or none. */
  upsert(ads: readonly Ad[]): Promise<{ created: number; updated: number }>;
  /** Tells all gateways that these ads changed. */
  announce(adIds: readonly string[]): void;
}

export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
