/**
 * Sends what waits in spools whose gateways run no more: one that was killed and is not started again, or one of more
 * than run now. Whoever finds such a spool first has it until it is empty (I1); the ids in it are the same whoever
 * sends them, so nothing is counted twice. Several side by side, so that none waits for a shard that refuses another.
 * I14: of each one segment is in memory.
 */
import type { Timers } from '../domain/timers.ts';
import type { Log, SpoolFolder } from './ports.ts';
import type { Spool } from './spool.ts';

const LOOK_EVERY_MS = 5_000;
const AT_A_TIME_MAX = 8;

export type OpenLeftSpool = (
  folder: SpoolFolder,
) => Promise<{ readonly spool: Spool; readonly drain: (stop: AbortSignal) => Promise<void> }>;

interface TakenFolder extends SpoolFolder {
  /** Lets another process have it. */
  close(): void;
}

export interface LeftSpoolsParts {
  /** One that no running gateway has and in which clicks wait. */
  readonly takeLeft: () => Promise<TakenFolder | undefined>;
  readonly openLeftSpool: OpenLeftSpool;
  readonly timers: Timers;
  readonly log: Log;
}

export class LeftSpools {
  readonly #parts: LeftSpoolsParts;
  readonly #spools = new Set<Spool>();
  readonly #sending = new Set<Promise<void>>();

  constructor(parts: LeftSpoolsParts) {
    this.#parts = parts;
  }

  /** Bytes that wait in those that are being sent. */
  get bytes(): number {
    return [...this.#spools].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Looks for such spools until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.#telling(() => this.#look(stop));
      await this.#parts.timers.pause(LOOK_EVERY_MS, stop);
    }
    await Promise.all(this.#sending);
  }

  async #look(stop: AbortSignal): Promise<void> {
    while (this.#sending.size < AT_A_TIME_MAX && !stop.aborted) {
      const folder = await this.#parts.takeLeft();
      if (folder === undefined) return;
      const sending = this.#telling(() => this.#send(folder, stop)).finally(() =>
        this.#sending.delete(sending),
      );
      this.#sending.add(sending);
    }
  }

  async #send(folder: TakenFolder, stop: AbortSignal): Promise<void> {
    try {
      const { spool, drain } = await this.#parts.openLeftSpool(folder);
      this.#spools.add(spool);
      await drain(stop).finally(() => this.#spools.delete(spool));
    } finally {
      folder.close();
    }
  }

  async #telling(work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) =>
      this.#parts.log.error(
        { err: error },
        'what another gateway left in its spool cannot be sent; it is tried again',
      ),
    );
  }
}
