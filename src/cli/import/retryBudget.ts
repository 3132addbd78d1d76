/**
 * How long to go on trying while nothing comes through: waits grow from 100 ms to 5 s, and after `retryForMs`
 * without any progress it is given up. Pure but for its own count; time is passed in.
 */

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;

export type RetryDecision =
  | { readonly kind: 'retry'; readonly waitMs: number; readonly leftMs: number }
  | { readonly kind: 'giveUp'; readonly triedForMs: number };

export class RetryBudget {
  readonly #retryForMs: number;
  #troubleSinceMs: number | undefined;
  #waitMs = FIRST_WAIT_MS;

  constructor(retryForMs: number) {
    this.#retryForMs = retryForMs;
  }

  /** Something came through: the next trouble starts from the beginning. */
  succeeded(): void {
    this.#troubleSinceMs = undefined;
    this.#waitMs = FIRST_WAIT_MS;
  }

  failed(nowMs: number): RetryDecision {
    this.#troubleSinceMs ??= nowMs;
    const triedForMs = nowMs - this.#troubleSinceMs;
    const leftMs = this.#retryForMs - triedForMs;
    if (leftMs <= 0) return { kind: 'giveUp', triedForMs };
    // The last try is made at the very end of the budget, not given away because the next wait would be longer.
    const waitMs = Math.min(this.#waitMs, leftMs);
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    return { kind: 'retry', waitMs, leftMs };
  }
}
