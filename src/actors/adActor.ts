/**
 * An ad actor: the open minute windows of one ad on one shard, and the same clicks by their dimensions, single-threaded.
 * It is activated by the ad's first click and passivated once everything it counted is flushed; what is flushed lives in
 * PostgreSQL alone, so coming back costs nothing (I10).
 */
import type { LiveRequest, LiveRow } from '../domain/aggregates.ts';
import type { ClickDimensions, RollupKind, RollupRow } from '../domain/dimensions.ts';
import type { DeltaRow } from '../domain/flush.ts';
import { RollupCounts } from '../domain/rollupCounts.ts';
import { countClick, type Disposition, emptyCounts, type WindowCounts } from '../domain/windowCounts.ts';

type Range = Pick<LiveRequest, 'fromMs' | 'toMs'>;

/** A window's own row, its hour's and its day's. */
const WINDOW_ROWS = 3;

/** What was counted between two flushes. */
class Counted {
  readonly windows = new Map<number, WindowCounts>();
  readonly rollups = new RollupCounts();
}

export class AdActor {
  readonly #adId: string;
  /** Counted since the last flush began. */
  #open = new Counted();
  /** In a flush whose outcome is not known yet. */
  #flushing: Counted | undefined;

  constructor(adId: string) {
    this.#adId = adId;
  }

  /** Counts a click. @returns how many rows at most that adds to the next flush */
  count(minute: number, clickId: Uint8Array, dimensions: ClickDimensions, disposition: Disposition): number {
    const { windows, rollups } = this.#open;
    const known = windows.get(minute);
    const counts = known ?? emptyCounts();
    countClick(counts, clickId, disposition);
    const added = rollups.count(minute, dimensions, disposition);
    if (known !== undefined) return added;
    windows.set(minute, counts);
    return added + WINDOW_ROWS;
  }

  /** Hands out what was counted since the last flush began; it stays visible until `flushed`. */
  beginFlush(): { readonly rows: DeltaRow[]; readonly rollups: RollupRow[] } {
    const { windows, rollups } = this.#open;
    this.#flushing = this.#open;
    this.#open = new Counted();
    return {
      rows: [...windows].map(([minute, counts]) => ({ adId: this.#adId, minute, counts })),
      rollups: rollups.rows(this.#adId),
    };
  }

  /** The flush went through; true where nothing is left here, so the actor may leave memory. */
  flushed(): boolean {
    this.#flushing = undefined;
    return this.#open.windows.size === 0;
  }

  /** Counts that are not in PostgreSQL yet, in [fromMs, toMs); the same window may come twice. */
  *liveRows({ fromMs, toMs }: Range): Generator<LiveRow> {
    for (const { windows } of this.#unflushed()) {
      for (const [minute, { fingerprintHigh: _high, fingerprintLow: _low, ...counts }] of windows) {
        if (minute >= fromMs && minute < toMs) yield { adId: this.#adId, minute, ...counts };
      }
    }
  }

  /** The same by a kind's values; the same values may come twice. */
  *liveRollups(kind: RollupKind, { fromMs, toMs }: Range): Generator<RollupRow> {
    for (const { rollups } of this.#unflushed()) yield* rollups.rows(this.#adId, [kind], fromMs, toMs);
  }

  #unflushed(): Counted[] {
    return this.#flushing === undefined ? [this.#open] : [this.#flushing, this.#open];
  }
}
