/**
 * A process of the simulation: killed, nothing of it runs any more, also what waits for an answer; stopped (SIGSTOP),
 * everything of it waits until it is let go on, and then finds the world as it is by then.
 */
import type { Timers } from '../../src/domain/timers.ts';
import type { Scheduler } from './scheduler.ts';

export class SimProcess {
  readonly name: string;
  readonly #scheduler: Scheduler;
  #isAlive = true;
  #held: (() => void)[] | undefined;

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isRunning(): boolean {
    return this.#isAlive && this.#held === undefined;
  }

  /** Goes on with `run` after a while, if it still lives then. */
  later(delayMs: number, run: () => void): void {
    this.#scheduler.after(delayMs, () => {
      if (!this.#isAlive) return;
      if (this.#held === undefined) run();
      else this.#held.push(run);
    });
  }

  kill(): void {
    this.#isAlive = false;
  }

  stop(): void {
    this.#held ??= [];
  }

  goOn(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) this.later(0, run);
  }

  readonly timers: Timers = {
    pause: (ms, stop) =>
      new Promise((resolve) => {
        if (stop?.aborted) return resolve();
        const end = () => {
          stop?.removeEventListener('abort', end);
          resolve();
        };
        this.later(ms, end);
        stop?.addEventListener('abort', end);
      }),
    nextTurn: (work) => this.later(0, work),
  };
}
