/** When shards that failed here may be taken up again here: after pauses that grow while failures follow closely. */

const RESTART_FIRST_MS = 250;
const RESTART_MAX_MS = 10_000;

interface Failure {
  readonly waitMs: number;
  readonly notBeforeMs: number;
}

export class Restarts {
  /** By shard. */
  readonly #failures = new Map<number, Failure>();

  /** Writes down that a shard failed that had been owned since then; returns how long it waits, milliseconds. */
  failed(shard: number, ownedSinceMs: number, nowMs: number): number {
    const before = nowMs - ownedSinceMs < RESTART_MAX_MS ? this.#failures.get(shard) : undefined;
    const waitMs = before === undefined ? RESTART_FIRST_MS : Math.min(before.waitMs * 2, RESTART_MAX_MS);
    this.#failures.set(shard, { waitMs, notBeforeMs: nowMs + waitMs });
    return waitMs;
  }

  isWaiting(shard: number, nowMs: number): boolean {
    return nowMs < (this.#failures.get(shard)?.notBeforeMs ?? 0);
  }
}
