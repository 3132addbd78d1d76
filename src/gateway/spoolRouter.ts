/**
 * Finds the shards of records that went to the spool before they could be routed (I3). What comes of one entry is the
 * same batches under the same ids whenever it is routed: its times lie below `closed_until`, and a route below that
 * never changes. After a restart the bytes may name a newer sequence of the routing table under the same id; that is
 * harmless, because owners only need the table to be at least as new as its route.
 */
import type { ClickFacts } from '../domain/clickRecord.ts';
import type { SpoolEntry } from '../domain/spoolEntry.ts';
import type { ClosedUntil } from './closedUntil.ts';
import { addToParcels, type Parcel } from './parcels.ts';

export interface SpoolRouterParts {
  readonly closedUntil: ClosedUntil;
  /** undefined: the record cannot be read. */
  readonly decodeRecord: (bytes: Uint8Array) => ClickFacts | undefined;
  /** One message's bytes, of the bytes of its records. */
  readonly encodeBatch: (records: readonly Uint8Array[]) => Uint8Array;
}

export class SpoolRouter {
  readonly #parts: SpoolRouterParts;

  constructor(parts: SpoolRouterParts) {
    this.#parts = parts;
  }

  /** A batch a shard for records that can be routed now; the entry itself where they cannot (I3). */
  async route(entry: SpoolEntry): Promise<SpoolEntry[]> {
    if (entry.kind === 'batch') return [entry];
    const { closedUntil, decodeRecord, encodeBatch } = this.#parts;
    const clicks = entry.records.map((bytes) => ({ bytes, facts: decodeRecord(bytes) }));
    const facts = clicks.flatMap((click) => click.facts ?? []);
    await closedUntil.cover(facts);
    if (!facts.every((click) => closedUntil.covers(click))) return [entry];
    const byShard = new Map<number, Parcel[]>();
    for (const [place, click] of clicks.entries()) {
      // What this release cannot read is judged by the owner, as a dead letter.
      const shard = click.facts === undefined ? 0 : closedUntil.table.route(click.facts);
      const parcels = byShard.get(shard) ?? [];
      byShard.set(shard, parcels);
      addToParcels(parcels, place, click.bytes);
    }
    return [...byShard].flatMap(([shard, parcels]) =>
      parcels.map(({ records }, part) => ({
        kind: 'batch' as const,
        madeMs: entry.madeMs,
        batchId: `${entry.batchId}.${shard}.${part}`,
        shard,
        bytes: encodeBatch(records),
      })),
    );
  }
}
