/**
 * What a recount has counted and not handed on yet: windows by ad and minute, and, where it is asked for, the same clicks
 * by dimensions. Everything adds up (I10), so it is handed on in portions, and holds a bounded number of both (I14).
 */
import { NO_DIMENSIONS, QUARTER_MS, quarterOf, type RollupRow } from './dimensions.ts';
import type { ReplayRecord } from './replayRecord.ts';
import { RollupCounts } from './rollupCounts.ts';
import type { WholeVerdict } from './wholeFold.ts';
import {
  countClick,
  type Disposition,
  emptyCounts,
  WINDOW_CLICKS_MAX,
  type WindowCounts,
} from './windowCounts.ts';

/** Windows that are handed on at a time, and rows of rollups: the longer they add up here, the fewer PostgreSQL adds up. */
const RECOUNT_WINDOWS_MAX = 10_000;
const RECOUNT_ROLLUPS_MAX = 100_000;

/** Which windows are compared; what is not given does not matter. */
export interface WindowSelection {
  /** Half-open, on whole minutes. */
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly adIds: ReadonlySet<string> | undefined;
}

/** The quarters of an hour that have a minute in the range: their rollups are counted whole. */
export function quartersOf({
  fromMs = -Infinity,
  toMs = Infinity,
}: Pick<WindowSelection, 'fromMs' | 'toMs'>): {
  readonly fromMs: number;
  readonly toMs: number;
} {
  return { fromMs: quarterOf(fromMs), toMs: Math.ceil(toMs / QUARTER_MS) * QUARTER_MS };
}

export interface RecountedWindow {
  readonly adId: string;
  readonly minute: number;
  readonly counts: WindowCounts;
  /** Records that were recognised only beyond the dedup horizon: live, each was counted as if it were new. */
  late: number;
}

/** What is handed on at a time; other portions may have the same keys. */
export interface RecountedPortion {
  readonly windows: readonly RecountedWindow[];
  readonly rollups: readonly RollupRow[];
}

/** Of one ad: windows by their minutes, rollups by their quarters. */
class RecountedAd {
  readonly windows = new Map<number, RecountedWindow>();
  readonly rollups = new Map<number, RollupCounts>();
}

export class Recount {
  readonly #selection: WindowSelection;
  readonly #quarters: { readonly fromMs: number; readonly toMs: number };
  readonly #ads = new Map<string, RecountedAd>();
  #windows = 0;
  #rollups = 0;
  #records = 0;

  constructor(selection: WindowSelection) {
    this.#selection = selection;
    this.#quarters = quartersOf(selection);
  }

  add(record: ReplayRecord, { letter, isLate }: WholeVerdict): void {
    if (letter === 'D' && !isLate) return;
    const { minute } = record;
    const { adIds } = this.#selection;
    if (minute < this.#quarters.fromMs || minute >= this.#quarters.toMs) return;
    if (adIds !== undefined && !adIds.has(record.adId)) return;
    const ad = this.#adOf(record.adId);
    this.#records += 1;
    const disposition =
      letter === 'D' ? undefined : (record.refused ?? (letter === 'R' ? 'REPEAT' : 'VALID'));
    if (this.#isSelected(minute)) this.#addToWindow(ad, record, disposition, isLate);
    if (disposition !== undefined) this.#addToRollups(ad, record, disposition);
  }

  get isFull(): boolean {
    return (
      this.#windows >= RECOUNT_WINDOWS_MAX ||
      this.#rollups >= RECOUNT_ROLLUPS_MAX ||
      this.#records >= WINDOW_CLICKS_MAX / 2
    );
  }

  /** Everything counted since the last call. */
  take(): RecountedPortion {
    const windows = [...this.#ads.values()].flatMap((ad) => [...ad.windows.values()]);
    const rollups = [...this.#ads].flatMap(([adId, ad]) =>
      [...ad.rollups.values()].flatMap((counts) => counts.rows(adId)),
    );
    this.#ads.clear();
    this.#windows = 0;
    this.#rollups = 0;
    this.#records = 0;
    return { windows, rollups };
  }

  /** The range may begin or end within a quarter. */
  #isSelected(minute: number): boolean {
    const { fromMs = -Infinity, toMs = Infinity } = this.#selection;
    return minute >= fromMs && minute < toMs;
  }

  #adOf(adId: string): RecountedAd {
    let ad = this.#ads.get(adId);
    if (ad === undefined) {
      ad = new RecountedAd();
      this.#ads.set(adId, ad);
    }
    return ad;
  }

  #addToWindow(
    { windows }: RecountedAd,
    { adId, minute, clickId }: ReplayRecord,
    disposition: Disposition | undefined,
    isLate: boolean,
  ): void {
    let window = windows.get(minute);
    if (window === undefined) {
      window = { adId, minute, counts: emptyCounts(), late: 0 };
      windows.set(minute, window);
      this.#windows += 1;
    }
    if (isLate) window.late += 1;
    if (disposition !== undefined) countClick(window.counts, clickId, disposition);
  }

  #addToRollups(
    { rollups }: RecountedAd,
    { minute, dimensions }: ReplayRecord,
    disposition: Disposition,
  ): void {
    if (dimensions === NO_DIMENSIONS) return;
    const quarter = quarterOf(minute);
    let counts = rollups.get(quarter);
    if (counts === undefined) {
      counts = new RollupCounts();
      rollups.set(quarter, counts);
    }
    this.#rollups += counts.count(minute, dimensions, disposition);
  }
}
