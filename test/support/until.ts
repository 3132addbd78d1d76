/** Waits, turn by turn of the event loop, until something holds. For what has no promise to wait for. */

const BOUND_MS = 5_000;

export async function until(holds: () => boolean, what = 'what the test waits for'): Promise<void> {
  const endMs = Date.now() + BOUND_MS;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`${what} did not come true in ${BOUND_MS} ms`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets everything that is ready run: a number of turns of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
