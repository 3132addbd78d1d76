/**
 * Brings what is in the spool to the streams, oldest segment first, for as long as the gateway runs. A segment leaves
 * the spool when all of it is confirmed; after a kill in between it is sent again whole. That counts nothing twice:
 * the ids are the same, so the broker absorbs it, and beyond the broker's memory the fold recognises each click.
 */
import type { ClickFacts } from '../domain/clickRecord.ts';
import { insist } from '../domain/insist.ts';
import type { SpoolEntry } from '../domain/spoolEntry.ts';
import type { Timers } from '../domain/timers.ts';
import type { ClosedUntil } from './closedUntil.ts';
import { addToParcels, type Parcel } from './parcels.ts';
import type { Log, PublishBatch } from './ports.ts';
import type { Spool } from './spool.ts';

/** Messages on their way at a time. */
const IN_FLIGHT_MAX = 16;
const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 2_000;

export interface SpoolDrainParts {
  readonly spool: Spool;
  readonly publish: PublishBatch;
  readonly closedUntil: ClosedUntil;
  readonly decodeRecord: (bytes: Uint8Array) => ClickFacts | undefined;
  readonly encodeBatch: (records: readonly Uint8Array[]) => Uint8Array;
  /** A batch of this shard got through. */
  readonly onDelivered: (shard: number) => void;
  readonly timers: Timers;
  readonly log: Log;
}

type Batch = Extract<SpoolEntry, { kind: 'batch' }>;

export class SpoolDrain {
  readonly #parts: SpoolDrainParts;

  constructor(parts: SpoolDrainParts) {
    this.#parts = parts;
  }

  /** Drains whatever comes into the spool, until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    const { spool, timers, log } = this.#parts;
    for (;;) {
      const segment = await spool.next(stop);
      if (segment === undefined || stop.aborted) return;
      try {
        await this.#drain(segment, stop);
      } catch (error) {
        log.error({ segment, err: error }, 'a spool segment cannot be drained; trying again');
        await timers.pause(RETRY_PAUSE_MAX_MS, stop);
      }
    }
  }

  async #drain(segment: number, stop: AbortSignal): Promise<void> {
    const { spool, timers, log } = this.#parts;
    const { entries, whole } = await spool.read(segment);
    let left: readonly SpoolEntry[] = entries;
    for (let pauseMs = RETRY_PAUSE_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MAX_MS)) {
      left = await this.#send(left, stop);
      if (stop.aborted) return;
      if (left.length === 0) break;
      await timers.pause(pauseMs, stop);
    }
    // Not the whole segment again because its file could not be removed.
    await insist(() => spool.discard(segment, whole), {
      timers,
      pauseFirstMs: RETRY_PAUSE_FIRST_MS,
      pauseMaxMs: RETRY_PAUSE_MAX_MS,
      check: () => stop.throwIfAborted(),
      onFailure: (error) => log.error({ segment, err: error }, 'a drained spool segment cannot be removed'),
    });
    log.info({ segment, entries: entries.length }, 'a spool segment is on the streams');
  }

  /** Sends what it can; returns what is left. A shard that refuses one entry is not asked for the others. */
  async #send(entries: readonly SpoolEntry[], stop: AbortSignal): Promise<SpoolEntry[]> {
    const batches = (await Promise.all(entries.map((entry) => this.#route(entry)))).flat();
    const left: SpoolEntry[] = [];
    const silent = new Set<number>();
    const queue = batches.values();
    const worker = async () => {
      for (const batch of queue) {
        if (batch.kind === 'unrouted' || silent.has(batch.shard) || stop.aborted) left.push(batch);
        else if (!(await this.#deliver(batch))) {
          silent.add(batch.shard);
          left.push(batch);
        }
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT_MAX }, worker));
    return left;
  }

  async #deliver({ shard, bytes, batchId }: Batch): Promise<boolean> {
    const { publish, onDelivered } = this.#parts;
    try {
      await publish(shard, bytes, batchId);
    } catch {
      // That JetStream is away was said when the spool began to fill.
      return false;
    }
    onDelivered(shard);
    return true;
  }

  /** A batch a shard for records that can be routed now; the entry itself where they cannot (I3). */
  async #route(entry: SpoolEntry): Promise<SpoolEntry[]> {
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
        batchId: `${entry.batchId}.${shard}.${part}`,
        shard,
        bytes: encodeBatch(records),
      })),
    );
  }
}
