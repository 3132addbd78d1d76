/** Tries until it works, with growing pauses: for servers that come back, where giving up would lose something. */
import type { Timers } from './timers.ts';

export interface Insistence {
  readonly timers: Timers;
  /** The pause after the first failure; it doubles up to `pauseMaxMs`. */
  readonly pauseFirstMs: number;
  readonly pauseMaxMs: number;
  /** What fails so often is thrown; not given: it is tried for ever. */
  readonly triesMax?: number;
  /** Asked before every try: what it throws ends them. */
  readonly check: () => void;
  /** Hears of every failure and of the pause after it; where it throws, there is no further try. */
  readonly onFailure: (error: unknown, pauseMs: number) => void;
}

/** What `attempt` brings in the end. @throws what `check` or `onFailure` throws, or the last try of `triesMax`; nothing else */
export async function insist<T>(attempt: () => Promise<T>, how: Insistence): Promise<T> {
  let pauseMs = how.pauseFirstMs;
  for (let tries = 1; ; tries++, pauseMs = Math.min(pauseMs * 2, how.pauseMaxMs)) {
    how.check();
    try {
      return await attempt();
    } catch (error) {
      if (tries === how.triesMax) throw error;
      how.onFailure(error, pauseMs);
      await how.timers.pause(pauseMs);
    }
  }
}
