/**
 * Keeps one child running: starts it again whenever it ends unasked, at once at first and more slowly while it
 * keeps failing. The first start is the caller's to judge: when it fails, so does `start`.
 *
 * Modes: idle -> running -> stopping. In `running` there may be no living child for a while (between two tries).
 */
import type { Child } from './child.ts';

/** Starts the child and resolves when it serves. Hands it to `onSpawn` before that, so that it can be ended. */
export type Launch = (onSpawn: (child: Child) => void) => Promise<unknown>;

export type SupervisorEvent =
  | { readonly kind: 'ended'; readonly name: string; readonly how: string; readonly restartInMs: number }
  | { readonly kind: 'ready-again'; readonly name: string };

export type StopResult =
  | { readonly kind: 'not-running' }
  | { readonly kind: 'ended'; readonly how: string; readonly killed: boolean };

const RESTART_DELAY_MIN_MS = 250;
const RESTART_DELAY_MAX_MS = 10_000;
/** A child that ran this long had started well: the next failure is a new one. */
const STEADY_MS = 30_000;

/** How long to wait before the next try, after a child that ran for `ranMs` and was started after `previousMs`. */
export function restartDelayMs(previousMs: number | undefined, ranMs: number): number {
  if (previousMs === undefined || ranMs >= STEADY_MS) return RESTART_DELAY_MIN_MS;
  return Math.min(previousMs * 2, RESTART_DELAY_MAX_MS);
}

export class Supervisor {
  readonly name: string;
  readonly #launch: Launch;
  readonly #report: (event: SupervisorEvent) => void;
  #mode: 'idle' | 'running' | 'stopping' = 'idle';
  #child: Child | undefined;
  #spawnedAtMs = 0;
  /** Ends the wait before a restart. */
  #wake: () => void = () => undefined;

  constructor(name: string, launch: Launch, report: (event: SupervisorEvent) => void) {
    this.name = name;
    this.#launch = launch;
    this.#report = report;
  }

  get pid(): number | undefined {
    return this.#child?.running ? this.#child.pid : undefined;
  }

  /** Resolves when the child serves for the first time; rejects with the reason when it does not. */
  async start(): Promise<void> {
    this.#mode = 'running';
    await this.#launchOnce();
    void this.#keepRunning();
  }

  /** Asks the child to end, waits at most `boundMs`, and starts it no more. */
  async stop(boundMs: number): Promise<StopResult> {
    this.#mode = 'stopping';
    this.#wake();
    if (!this.#child?.running) return { kind: 'not-running' };
    return { kind: 'ended', ...(await this.#child.stop(boundMs)) };
  }

  /** Ends the child at once and starts it no more. */
  async kill(): Promise<void> {
    this.#mode = 'stopping';
    this.#wake();
    this.#child?.kill();
    await this.#child?.exited;
  }

  async #launchOnce(): Promise<void> {
    await this.#launch((child) => {
      this.#child = child;
      this.#spawnedAtMs = performance.now();
      // Asked to stop while the launch was on its way.
      if (this.#isStopping()) child.kill();
    });
  }

  async #keepRunning(): Promise<void> {
    let delayMs: number | undefined;
    while (this.#child !== undefined) {
      const how = await this.#child.exited;
      if (this.#isStopping()) return;
      delayMs = restartDelayMs(delayMs, performance.now() - this.#spawnedAtMs);
      this.#report({ kind: 'ended', name: this.name, how, restartInMs: delayMs });
      await this.#pause(delayMs);
      if (this.#isStopping()) return;
      try {
        await this.#launchOnce();
        this.#report({ kind: 'ready-again', name: this.name });
      } catch {
        // It has ended again (a launch that fails leaves no living child): the next round says so and waits longer.
      }
    }
  }

  /** A method, because the mode changes while a caller awaits. */
  #isStopping(): boolean {
    return this.#mode === 'stopping';
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }
}
