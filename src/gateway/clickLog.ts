/**
 * Where clicks become durable: finds each click's shard and hands it to group commit. A click that may not be
 * published yet (I3), because the routing table cannot be raised, goes to the spool and is routed when that drains.
 */
import type { ClickRecord, RoutedFacts } from '../domain/clickRecord.ts';
import type { Position } from '../domain/position.ts';
import { WrittenClick } from '../domain/writtenClick.ts';
import type { ClosedUntil } from './closedUntil.ts';
import type { GroupCommit } from './groupCommit.ts';
import type { HotAds } from './hotAds.ts';
import { addToParcels, type Parcel } from './parcels.ts';
import type { Spool } from './spool.ts';

export interface ClickLogParts {
  readonly closedUntil: ClosedUntil;
  readonly groupCommit: Pick<GroupCommit, 'submit'>;
  readonly spool: Pick<Spool, 'append'>;
  readonly hotAds: Pick<HotAds, 'observe'>;
  readonly newBatchId: () => string;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly encodeRecord: (record: ClickRecord) => Uint8Array;
}

/** Where a click stands on the streams; `spooled`: on the gateway's disk, to be brought there (I1). */
export type Durable = Position | 'spooled';

export class ClickLog {
  readonly #parts: ClickLogParts;

  constructor(parts: ClickLogParts) {
    this.#parts = parts;
  }

  /**
   * Makes clicks durable; returns where each of them is, in the same order.
   * @throws UnavailableError where that is not known of every one of them, OverloadedError
   */
  async append(clicks: readonly (ClickRecord | WrittenClick)[]): Promise<Durable[]> {
    const { closedUntil, hotAds } = this.#parts;
    hotAds.observe(clicks);
    await closedUntil.cover(clicks);
    // A click over HTTP comes alone: it needs no portions.
    const [only] = clicks;
    if (only !== undefined && clicks.length === 1 && closedUntil.covers(only))
      return [await this.#commitOne(only)];
    const unrouted: Parcel[] = [];
    const byShard = new Map<number, Parcel[]>();
    let place = 0;
    for (const click of clicks) {
      addToParcels(this.#parcelsOf(click, byShard, unrouted), place, this.#recordOf(click));
      place += 1;
    }
    const durable = new Array<Durable>(clicks.length);
    const commits = unrouted.map((parcel) => this.#spool(parcel, durable));
    for (const [shard, parcels] of byShard) {
      for (const parcel of parcels) commits.push(this.#commit(shard, parcel, durable));
    }
    // All settle before the answer: an error must not leave others unheard.
    const outcomes = await Promise.allSettled(commits);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return durable;
  }

  #recordOf(click: ClickRecord | WrittenClick): Uint8Array {
    return click instanceof WrittenClick ? click.record : this.#parts.encodeRecord(click);
  }

  async #commitOne(click: ClickRecord | WrittenClick): Promise<Durable> {
    const { closedUntil, groupCommit } = this.#parts;
    const shard = closedUntil.table.route(click);
    const committed = await groupCommit.submit(shard, [this.#recordOf(click)]);
    if (committed === 'spooled') return committed;
    const { incarnation, sequence, firstIndex } = committed;
    return { shard, incarnation, sequence, index: firstIndex };
  }

  #parcelsOf(click: RoutedFacts, byShard: Map<number, Parcel[]>, unrouted: Parcel[]): Parcel[] {
    const { closedUntil } = this.#parts;
    if (!closedUntil.covers(click)) return unrouted;
    const shard = closedUntil.table.route(click);
    let parcels = byShard.get(shard);
    if (parcels === undefined) {
      parcels = [];
      byShard.set(shard, parcels);
    }
    return parcels;
  }

  async #commit(shard: number, { records, places }: Parcel, durable: Durable[]): Promise<void> {
    const committed = await this.#parts.groupCommit.submit(shard, records);
    if (committed === 'spooled') {
      for (const place of places) durable[place] = committed;
      return;
    }
    const { incarnation, sequence, firstIndex } = committed;
    let index = firstIndex;
    for (const place of places) durable[place] = { shard, incarnation, sequence, index: index++ };
  }

  async #spool({ records, places }: Parcel, durable: Durable[]): Promise<void> {
    const { spool, newBatchId, clock } = this.#parts;
    await spool.append({ kind: 'unrouted', batchId: newBatchId(), madeMs: clock(), records });
    for (const place of places) durable[place] = 'spooled';
  }
}
