/** How code waits. Handed in like the clock, so that a simulation decides what happens meanwhile, and in which order. */
export interface Timers {
  /** Returns after `ms` milliseconds, or as soon as `stop` is given. */
  pause(ms: number, stop?: AbortSignal): Promise<void>;
  /** Runs `work` when everything that is ready now has run. */
  nextTurn(work: () => void): void;
}
