/** Waits until the outside says what a test waits for; an outside that does not answer has not said it yet. */
import { SETTLE_BOUND_MS } from './length.ts';

const POLL_MS = 10;

export async function waitFor(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLE_BOUND_MS;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > deadline) throw new Error(`${what} did not come true in ${SETTLE_BOUND_MS} ms`);
    await Bun.sleep(POLL_MS);
  }
}
