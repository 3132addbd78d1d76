/**
 * I3: a click is published only when its times lie below the `closed_until` that this gateway has read. When it needs
 * more, this raises it, a minute ahead, so that it costs a round trip about once a minute and mostly in the background.
 */
import type { RoutedFacts } from '../domain/clickRecord.ts';
import { CLOSED_UNTIL_AHEAD_MS, type RoutingTable } from '../domain/routingTable.ts';
import type { Timers } from '../domain/timers.ts';
import type { Log, RoutingWriter } from './ports.ts';

/** With less than this left below `closed_until`, it is raised while clicks go on. */
const RAISE_EARLY_MS = CLOSED_UNTIL_AHEAD_MS / 2;

export interface ClosedUntilParts {
  readonly routing: RoutingWriter;
  /** A click waits for the table no longer than this. */
  readonly publishTimeoutMs: number;
  readonly timers: Pick<Timers, 'pause'>;
  readonly log: Log;
}

export class ClosedUntil {
  readonly #parts: ClosedUntilParts;
  #raising: Promise<void> | undefined;
  /** The last try did not go through: nobody waits for the next one. */
  #stuck = false;

  constructor(parts: ClosedUntilParts) {
    this.#parts = parts;
  }

  /** The table by which clicks are routed now. */
  get table(): RoutingTable {
    return this.#parts.routing.table;
  }

  /** Whether the click may be published now. */
  covers(click: RoutedFacts): boolean {
    const { table } = this.#parts.routing;
    // A click from the future goes by the first entry.
    return table.isFromTheFuture(click) || table.neededClosedUntilMs(click) <= table.closedUntilMs;
  }

  /** Raises `closed_until` where these clicks need it. Some may not be covered afterwards: then the broker is away. */
  async cover(clicks: readonly RoutedFacts[]): Promise<void> {
    const { table } = this.#parts.routing;
    let neededMs = 0;
    for (const click of clicks) {
      // A click from the future must not be able to push `closed_until` ahead.
      if (!table.isFromTheFuture(click)) neededMs = Math.max(neededMs, table.neededClosedUntilMs(click));
    }
    if (neededMs + RAISE_EARLY_MS <= table.closedUntilMs) return;
    const raised = this.#raise(neededMs);
    if (neededMs <= table.closedUntilMs || this.#stuck) return;
    const { timers, publishTimeoutMs } = this.#parts;
    const isOver = raised.then(() => true);
    if (!(await Promise.race([isOver, timers.pause(publishTimeoutMs).then(() => false)]))) this.#stuck = true;
  }

  /** Concurrent callers share a raise; who needs more than it brought raises again. */
  async #raise(neededMs: number): Promise<void> {
    const { table } = this.#parts.routing;
    try {
      while (table.closedUntilMs < neededMs + RAISE_EARLY_MS) {
        this.#raising ??= this.#raiseOnce(neededMs).finally(() => {
          this.#raising = undefined;
        });
        await this.#raising;
      }
      this.#stuck = false;
    } catch (error) {
      if (!this.#stuck) this.#parts.log.warn({ err: error }, 'the routing table cannot be read or raised');
      this.#stuck = true;
    }
  }

  async #raiseOnce(neededMs: number): Promise<void> {
    const { routing } = this.#parts;
    await routing.read();
    if (routing.table.closedUntilMs >= neededMs + RAISE_EARLY_MS) return;
    await routing.append({ kind: 'closed_until', untilMs: neededMs + CLOSED_UNTIL_AHEAD_MS });
  }
}
