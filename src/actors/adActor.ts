/**
 * An ad actor: the open minute windows of one ad on one shard, single-threaded. It is activated by the ad's first
 * click and passivated once everything it counted is flushed; what is flushed lives in PostgreSQL alone, so coming
 * back costs nothing (I10).
 */
import type { LiveRow } from '../domain/aggregates.ts';
import type { DeltaRow } from '../domain/flush.ts';
import {
  addCounts,
  countClick,
  type Disposition,
  emptyCounts,
  type WindowCounts,
} from '../domain/windowCounts.ts';

type Windows = Map<number, WindowCounts>;

export class AdActor {
  readonly #adId: string;
  /** Counted since the last flush began. */
  #open: Windows = new Map();
  /** In a flush whose outcome is not known yet. */
  #flushing: Windows = new Map();

  constructor(adId: string) {
    this.#adId = adId;
  }

  /** Counts a click; true where it opened a window. */
  count(minute: number, clickId: Uint8Array, disposition: Disposition): boolean {
    const known = this.#open.get(minute);
    const counts = known ?? emptyCounts();
    countClick(counts, clickId, disposition);
    if (known === undefined) this.#open.set(minute, counts);
    return known === undefined;
  }

  /** Hands out what was counted since the last flush began; it stays visible until `flushed`. */
  beginFlush(): DeltaRow[] {
    this.#flushing = this.#open;
    this.#open = new Map();
    return [...this.#flushing].map(([minute, counts]) => ({ adId: this.#adId, minute, counts }));
  }

  /** The flush went through; true where nothing is left here, so the actor may leave memory. */
  flushed(): boolean {
    this.#flushing = new Map();
    return this.#open.size === 0;
  }

  /** Counts that are not in PostgreSQL yet, in [fromMs, toMs). */
  liveRows(fromMs: number, toMs: number): LiveRow[] {
    const merged = new Map<number, WindowCounts>();
    for (const windows of [this.#flushing, this.#open]) {
      for (const [minute, counts] of windows) {
        if (minute < fromMs || minute >= toMs) continue;
        const sum = merged.get(minute) ?? emptyCounts();
        addCounts(sum, counts);
        merged.set(minute, sum);
      }
    }
    return [...merged].map(([minute, { fingerprintHigh: _high, fingerprintLow: _low, ...counts }]) => ({
      adId: this.#adId,
      minute,
      ...counts,
    }));
  }
}
