/**
 * What a recount has counted and not handed on yet, by ad and minute. Everything adds up (I10), so it is handed on in
 * portions, and holds a bounded number of windows (I14).
 */
import type { ReplayRecord } from './replayRecord.ts';
import type { WholeVerdict } from './wholeFold.ts';
import { countClick, emptyCounts, WINDOW_CLICKS_MAX, type WindowCounts } from './windowCounts.ts';

/** Windows that are handed on at a time. */
const RECOUNT_WINDOWS_MAX = 10_000;

/** Which windows are compared; what is not given does not matter. */
export interface WindowSelection {
  /** Half-open, on whole minutes. */
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly adIds: ReadonlySet<string> | undefined;
}

export interface RecountedWindow {
  readonly adId: string;
  readonly minute: number;
  readonly counts: WindowCounts;
  /** Records that were recognised only beyond the dedup horizon: live, each was counted as if it were new. */
  late: number;
}

export class Recount {
  readonly #selection: WindowSelection;
  readonly #ads = new Map<string, Map<number, RecountedWindow>>();
  #windows = 0;
  #records = 0;

  constructor(selection: WindowSelection) {
    this.#selection = selection;
  }

  add(record: ReplayRecord, { letter, isLate }: WholeVerdict): void {
    if (letter === 'D' && !isLate) return;
    const { fromMs = -Infinity, toMs = Infinity, adIds } = this.#selection;
    if (record.minute < fromMs || record.minute >= toMs) return;
    if (adIds !== undefined && !adIds.has(record.adId)) return;
    const window = this.#windowOf(record);
    this.#records += 1;
    if (isLate) window.late += 1;
    if (letter === 'D') return;
    const disposition = record.refused ?? (letter === 'R' ? 'REPEAT' : 'VALID');
    countClick(window.counts, record.clickId, disposition);
  }

  get isFull(): boolean {
    return this.#windows >= RECOUNT_WINDOWS_MAX || this.#records >= WINDOW_CLICKS_MAX / 2;
  }

  /** Everything counted since the last call. */
  take(): RecountedWindow[] {
    const windows = [...this.#ads.values()].flatMap((minutes) => [...minutes.values()]);
    this.#ads.clear();
    this.#windows = 0;
    this.#records = 0;
    return windows;
  }

  #windowOf({ adId, minute }: ReplayRecord): RecountedWindow {
    let minutes = this.#ads.get(adId);
    if (minutes === undefined) {
      minutes = new Map();
      this.#ads.set(adId, minutes);
    }
    let window = minutes.get(minute);
    if (window === undefined) {
      window = { adId, minute, counts: emptyCounts(), late: 0 };
      minutes.set(minute, window);
      this.#windows += 1;
    }
    return window;
  }
}
