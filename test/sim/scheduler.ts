/**
 * Time as a simulation has it: it stands still while anything runs, and jumps to the next event when nothing does.
 * Events of the same moment run in the order in which they were planned, so a run is a function of its seed alone.
 */

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class Scheduler {
  /** Milliseconds since the Unix epoch. */
  nowMs: number;
  /** Events that ran. */
  steps = 0;
  /** A binary heap, the next event first. */
  readonly #heap: Event[] = [];
  #planned = 0;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  after(delayMs: number, run: () => void): void {
    this.#planned += 1;
    const event = { atMs: this.nowMs + delayMs, order: this.#planned, run };
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = event;
  }

  /** Runs the next event and everything that follows from it at once; false: nothing is planned. */
  async step(): Promise<boolean> {
    const event = this.#take();
    if (event === undefined) return false;
    this.nowMs = Math.max(this.nowMs, event.atMs);
    this.steps += 1;
    event.run();
    // Every promise that is ready runs before this one does.
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }

  /** Steps until `isDone`, at most `boundMs` of its own time. @returns whether it is done */
  async until(isDone: () => boolean, boundMs: number): Promise<boolean> {
    const endMs = this.nowMs + boundMs;
    while (!isDone()) {
      if (this.nowMs >= endMs || !(await this.step())) return isDone();
    }
    return true;
  }

  #take(): Event | undefined {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = this.#heap[child];
      const right = this.#heap[child + 1];
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (below === undefined || !isBefore(below, last)) break;
      this.#heap[at] = below;
      at = child;
    }
    this.#heap[at] = last;
    return first;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
