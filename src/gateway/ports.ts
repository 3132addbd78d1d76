/** What the gateway needs of the outside; main.ts hands it the adapters. */
import type { Ad } from '../domain/ad.ts';
import type { PublishedBatch } from '../domain/position.ts';
import type { RoutingEntry, RoutingTable } from '../domain/routingTable.ts';

/** Returns when the batch is on disk. Throws where that is not known: it may be there or not. */
export type PublishBatch = (shard: number, bytes: Uint8Array, batchId: string) => Promise<PublishedBatch>;

export interface RoutingWriter {
  readonly table: RoutingTable;
  /** Reads what was appended since. */
  read(): Promise<void>;
  /** Appends unless somebody else did since the last read; false: decide again. */
  append(entry: RoutingEntry): Promise<boolean>;
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
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
