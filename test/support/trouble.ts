/**
 * What goes wrong at an outside system, decided by a test: an operation fails before it took effect, or after it (its
 * answer is lost), or does not come to its end until the test lets it go. The fakes ask it at both borders of every
 * operation, so one seeded `decide` can break all of them in any order.
 */

export type Border = 'before' | 'after';

export class LostConnection extends Error {
  override readonly name = 'LostConnection';
}

interface Hold {
  readonly released: Promise<void>;
  readonly reached: () => void;
}

export class Trouble {
  /** Asked at every border; may throw, or wait. Replaced by simulations. */
  decide: (operation: string, border: Border) => void | Promise<void> = () => undefined;
  readonly #failures = new Map<string, number>();
  readonly #holds = new Map<string, Hold[]>();

  /** The next `times` calls of the operation fail there: `before` leaves no trace, `after` only loses the answer. */
  failNext(operation: string, border: Border, times = 1): void {
    this.#failures.set(`${operation} ${border}`, times);
  }

  /** Nothing that `failNext` announced fails any more. */
  mend(): void {
    this.#failures.clear();
  }

  /** Holds the next call there. `reached` resolves when it has come so far; `release` lets it go on. */
  hold(operation: string, border: Border): { reached: Promise<void>; release: () => void } {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const key = `${operation} ${border}`;
    const holds = this.#holds.get(key) ?? [];
    holds.push({ released: released.promise, reached: () => reached.resolve() });
    this.#holds.set(key, holds);
    return { reached: reached.promise, release: () => released.resolve() };
  }

  async at(operation: string, border: Border): Promise<void> {
    const key = `${operation} ${border}`;
    const hold = this.#holds.get(key)?.shift();
    if (hold !== undefined) {
      hold.reached();
      await hold.released;
    }
    await this.decide(operation, border);
    const left = this.#failures.get(key) ?? 0;
    if (left > 0) {
      this.#failures.set(key, left - 1);
      throw new LostConnection(`${operation}: the connection was lost ${border} it took effect`);
    }
  }

  /** Runs `work` between its two borders. `work` is synchronous: what it does is atomic. */
  async around<T>(operation: string, work: () => T): Promise<T> {
    await this.at(operation, 'before');
    const result = work();
    await this.at(operation, 'after');
    return result;
  }
}
