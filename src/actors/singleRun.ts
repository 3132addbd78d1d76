/** Work that never runs beside itself. All who ask for it while it runs share one more run after this one. */

export class SingleRun {
  readonly #work: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param work tells its errors itself */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Returns when a run is over that began after this call. */
  ask(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      this.#running = this.#work();
      return this.#running;
    });
    return this.#next;
  }
}
