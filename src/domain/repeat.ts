/** Work that is done again and again, without anybody asking for it. */
import type { Timers } from './timers.ts';

/** The first time comes soon after the start, when what waited is done. */
const FIRST_AFTER_MS = 60_000;
/** Of the pause: so that processes that were started together do not work at the same moments. */
const JITTER = 0.1;

export interface Repetition {
  /** From the end of one to the beginning of the next. */
  readonly everyMs: number;
  /** From 0 to below 1. */
  readonly lot: () => number;
  readonly timers: Timers;
  /** Hears why the work failed; the next time comes all the same. */
  readonly onFailure: (error: unknown) => void;
}

/** Runs until `stop`. */
export async function repeat(
  work: () => Promise<void>,
  { everyMs, lot, timers, onFailure }: Repetition,
  stop: AbortSignal,
): Promise<void> {
  for (let pauseMs = Math.min(FIRST_AFTER_MS, everyMs); ; pauseMs = everyMs) {
    await timers.pause(pauseMs * (1 + JITTER * lot()), stop);
    if (stop.aborted) return;
    try {
      await work();
    } catch (error) {
      if (!stop.aborted) onFailure(error);
    }
  }
}
