/**
 * Brings what is in the spool to the streams, oldest segment first, for as long as the gateway runs. A segment leaves
 * the spool when nothing in it waits any more; after a kill in between it is sent again whole. That counts nothing
 * twice: the ids are the same, so the broker absorbs it, and beyond its memory the fold recognises each click (I4).
 * What is too old for both is looked up on its stream first (oldBatches.ts).
 *
 * It works in passes over all segments. A shard that refuses is silent for the rest of the pass, and holds up no other:
 * what is left for it moves to the spool's end, so that segments come to hold only entries of shards that refuse, and
 * those are not even read while their shards are silent. The order of entries does not matter; the fold sees to that.
 * I14: one segment is in memory at a time.
 */
import { laneOf, type SpoolEntry, type SpoolLane } from '../domain/spoolEntry.ts';
import type { Timers } from '../domain/timers.ts';
import { OldBatches, type OldBatchesParts } from './oldBatches.ts';
import type { Log, PublishBatch } from './ports.ts';
import type { SegmentExtent, Spool } from './spool.ts';
import { SpoolRouter, type SpoolRouterParts } from './spoolRouter.ts';

/** Messages on their way at a time. */
const IN_FLIGHT_MAX = 16;
const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 2_000;

export interface SpoolDrainParts extends SpoolRouterParts, OldBatchesParts {
  readonly spool: Spool;
  readonly publish: PublishBatch;
  /** A batch of this shard got through. */
  readonly onDelivered: (shard: number) => void;
  readonly timers: Timers;
  readonly log: Log;
}

type Batch = Extract<SpoolEntry, { kind: 'batch' }>;

interface Pass {
  /** Those that refused, and are not asked again in this pass. */
  readonly silent: Set<SpoolLane>;
  hasDelivered: boolean;
  /** A segment could not be read, shortened or removed. */
  hasFailed: boolean;
}

export class SpoolDrain {
  readonly #parts: SpoolDrainParts;
  readonly #router: SpoolRouter;
  readonly #old: OldBatches;
  /** Segments in which nothing waits any more, and whose files could not be removed yet. */
  readonly #emptied = new Map<number, SegmentExtent>();
  /** Segments of which was said that there is trouble with them. */
  readonly #troubled = new Set<number>();

  constructor(parts: SpoolDrainParts) {
    this.#parts = parts;
    this.#router = new SpoolRouter(parts);
    this.#old = new OldBatches(parts);
  }

  /** Drains whatever comes into the spool, until `stop`. */
  run(stop: AbortSignal): Promise<void> {
    return this.#run(stop, () => false);
  }

  /** Drains a spool into which nothing comes any more, until it is empty or `stop` is given. */
  runUntilEmpty(stop: AbortSignal): Promise<void> {
    return this.#run(stop, () => this.#parts.spool.bytes === 0);
  }

  async #run(stop: AbortSignal, isDone: () => boolean): Promise<void> {
    const { spool, timers } = this.#parts;
    for (let pauseMs = RETRY_PAUSE_FIRST_MS; !isDone(); ) {
      await spool.filled(stop);
      if (stop.aborted) return;
      const { silent, hasDelivered, hasFailed } = await this.#pass(stop);
      if (hasDelivered) pauseMs = RETRY_PAUSE_FIRST_MS;
      if (silent.size === 0 && !hasFailed) continue;
      await timers.pause(pauseMs, stop);
      pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MAX_MS);
    }
  }

  /** Once over all segments. */
  async #pass(stop: AbortSignal): Promise<Pass> {
    const { spool } = this.#parts;
    const pass: Pass = { silent: new Set(), hasDelivered: false, hasFailed: false };
    for (const [segment, extent] of this.#emptied)
      await this.#attempt(segment, pass, () => this.#discard(segment, extent));
    for (let after = 0; !stop.aborted; ) {
      const segment = spool.next(after, pass.silent);
      if (segment === undefined) break;
      await this.#attempt(segment, pass, () => this.#drain(segment, pass, stop));
      after = segment;
    }
    return pass;
  }

  /** Trouble with one segment holds up no other; the next pass tries it again. */
  async #attempt(segment: number, pass: Pass, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      pass.hasFailed = true;
      if (this.#troubled.has(segment)) return;
      this.#troubled.add(segment);
      this.#parts.log.error(
        { segment, err: error },
        'a spool segment cannot be drained or removed; it is tried again until it can',
      );
    }
  }

  async #drain(segment: number, pass: Pass, stop: AbortSignal): Promise<void> {
    const { spool, log } = this.#parts;
    const { entries, extent } = await spool.read(segment);
    const batches = (await Promise.all(entries.map((entry) => this.#router.route(entry)))).flat();
    const unsent = await this.#old.withoutStanding(batches, pass.silent, stop);
    const left = await this.#send(unsent, pass, stop);
    if (stop.aborted) return;
    spool.keep(segment, left.map(laneOf));
    if (left.length > 0) {
      if (left.length === batches.length) return;
      await spool.moveToEnd(left);
    }
    this.#emptied.set(segment, extent);
    log.info(
      { segment, entries: entries.length, movedToEnd: left.length },
      'a spool segment is on the streams',
    );
    await this.#discard(segment, extent);
  }

  async #discard(segment: number, extent: SegmentExtent): Promise<void> {
    await this.#parts.spool.discard(segment, extent);
    this.#emptied.delete(segment);
    this.#troubled.delete(segment);
  }

  /** Sends what it can; returns what is left. */
  async #send(batches: readonly SpoolEntry[], pass: Pass, stop: AbortSignal): Promise<SpoolEntry[]> {
    const left: SpoolEntry[] = [];
    const queue = batches.values();
    const worker = async () => {
      for (const batch of queue) {
        const lane = laneOf(batch);
        const isAsked = batch.kind === 'batch' && !pass.silent.has(lane) && !stop.aborted;
        if (isAsked && (await this.#deliver(batch))) pass.hasDelivered = true;
        else {
          pass.silent.add(lane);
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
}
