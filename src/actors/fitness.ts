/**
 * Whether this process can count: whether it reaches its stream's broker and the fold. One that cannot, for a while,
 * must not keep others from it, so it beats no more and its leases run out. Where nobody can, nobody takes anything,
 * and everybody goes on with what they have when the servers are back.
 */
import type { Log } from './ports.ts';

const UNFIT_AFTER_MS = 5_000;

export interface FitnessParts {
  /** Whether the servers that counting needs answer just now. */
  readonly reachesServers: () => Promise<boolean>;
  /** Milliseconds since the Unix epoch; only spans are measured by it. */
  readonly clock: () => number;
  readonly log: Log;
}

export class Fitness {
  readonly #parts: FitnessParts;
  #reachedMs: number;
  #isFit = true;

  constructor(parts: FitnessParts) {
    this.#parts = parts;
    this.#reachedMs = parts.clock();
  }

  get isFit(): boolean {
    return this.#isFit;
  }

  /** Asks the servers. */
  async check(): Promise<void> {
    const { reachesServers, clock, log } = this.#parts;
    if (await reachesServers()) this.#reachedMs = clock();
    const isFit = clock() - this.#reachedMs < UNFIT_AFTER_MS;
    if (isFit === this.#isFit) return;
    this.#isFit = isFit;
    if (isFit) log.warn({}, 'NATS and Redis answer again; this process takes part again');
    else log.error({}, 'NATS or Redis does not answer this process; its shards are left to others');
  }
}
