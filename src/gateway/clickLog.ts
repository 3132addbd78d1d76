/**
 * Where clicks become durable: finds each click's shard and hands it to group commit.
 *
 * I3: a click is published only when its times lie below the `closed_until` that this gateway has read; when it needs
 * more it raises it, a minute ahead, so that this costs a round trip about once a minute and mostly in the background.
 */
import type { ClickRecord } from '../domain/clickRecord.ts';
import type { Position } from '../domain/position.ts';
import { CLOSED_UNTIL_AHEAD_MS } from '../domain/routingTable.ts';
import { type GroupCommit, PARCEL_BYTES_MAX } from './groupCommit.ts';
import type { Log, RoutingWriter } from './ports.ts';
import { UnavailableError } from './unavailable.ts';

/** With less than this left below `closed_until`, it is raised while clicks go on. */
const RAISE_EARLY_MS = CLOSED_UNTIL_AHEAD_MS / 2;

export interface ClickLogParts {
  readonly routing: RoutingWriter;
  readonly groupCommit: GroupCommit;
  readonly encodeRecord: (record: ClickRecord) => Uint8Array;
  readonly log: Log;
}

interface Load {
  /** Places of the clicks in the caller's list. */
  readonly places: number[];
  readonly records: Uint8Array[];
  bytes: number;
}

export class ClickLog {
  readonly #parts: ClickLogParts;
  #raising: Promise<void> | undefined;

  constructor(parts: ClickLogParts) {
    this.#parts = parts;
  }

  /**
   * Makes clicks durable; returns where each of them stands, in the same order.
   * @throws UnavailableError where that is not known of every one of them, OverloadedError
   */
  async append(clicks: readonly ClickRecord[]): Promise<Position[]> {
    await this.#cover(clicks);
    const positions = new Array<Position>(clicks.length);
    const commits: Promise<void>[] = [];
    for (const [shard, loads] of this.#sort(clicks)) {
      for (const load of loads) commits.push(this.#commit(shard, load, positions));
    }
    // All settle before the answer: an error must not leave others unheard.
    const outcomes = await Promise.allSettled(commits);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return positions;
  }

  async #commit(shard: number, load: Load, positions: Position[]): Promise<void> {
    const { incarnation, sequence, firstIndex } = await this.#parts.groupCommit.submit(shard, load.records);
    for (const [offset, place] of load.places.entries()) {
      positions[place] = { shard, incarnation, sequence, index: firstIndex + offset };
    }
  }

  /** The clicks by shard, in portions that fit a message. */
  #sort(clicks: readonly ClickRecord[]): Map<number, Load[]> {
    const { routing, encodeRecord } = this.#parts;
    const byShard = new Map<number, Load[]>();
    for (const [place, click] of clicks.entries()) {
      const shard = routing.table.route(click);
      const record = encodeRecord(click);
      const loads = byShard.get(shard) ?? [];
      if (loads.length === 0) byShard.set(shard, loads);
      let load = loads.at(-1);
      if (load === undefined || load.bytes + record.length > PARCEL_BYTES_MAX) {
        load = { places: [], records: [], bytes: 0 };
        loads.push(load);
      }
      load.places.push(place);
      load.records.push(record);
      load.bytes += record.length;
    }
    return byShard;
  }

  /** I3: returns when every click's times lie below the `closed_until` that was read. */
  async #cover(clicks: readonly ClickRecord[]): Promise<void> {
    const { table } = this.#parts.routing;
    let neededMs = 0;
    for (const click of clicks) {
      // A click from the future goes by the first entry; it must not be able to push `closed_until` ahead.
      if (!table.isFromTheFuture(click)) neededMs = Math.max(neededMs, table.neededClosedUntilMs(click));
    }
    if (neededMs + RAISE_EARLY_MS <= table.closedUntilMs) return;
    const raised = this.#raise(neededMs);
    if (neededMs > table.closedUntilMs) await raised;
    else
      raised.catch((error: unknown) =>
        this.#parts.log.warn({ err: error }, 'closed_until could not be raised early'),
      );
  }

  /** Concurrent callers share a raise; who needs more than it brought raises again. */
  async #raise(neededMs: number): Promise<void> {
    const { routing } = this.#parts;
    try {
      while (routing.table.closedUntilMs < neededMs + RAISE_EARLY_MS) {
        this.#raising ??= this.#raiseOnce(neededMs).finally(() => {
          this.#raising = undefined;
        });
        await this.#raising;
      }
    } catch (error) {
      throw new UnavailableError('the routing table could not be read or raised', { cause: error });
    }
  }

  async #raiseOnce(neededMs: number): Promise<void> {
    const { routing } = this.#parts;
    await routing.read();
    if (routing.table.closedUntilMs >= neededMs + RAISE_EARLY_MS) return;
    await routing.append({ kind: 'closed_until', untilMs: neededMs + CLOSED_UNTIL_AHEAD_MS });
  }
}
