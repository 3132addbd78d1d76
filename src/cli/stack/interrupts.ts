/**
 * Ctrl-C and its relatives. The first asks for an orderly end; a second one during that end says "at once".
 *
 * SIGHUP (the terminal was closed) counts as the first: the counts are worth flushing though nobody looks.
 */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @returns a signal that the first interrupt aborts; each further one calls `onImpatience`. */
export function interrupts(onImpatience: () => void): AbortSignal {
  const controller = new AbortController();
  // Writing to a terminal that was closed must not end the launcher before its children.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (!controller.signal.aborted) controller.abort();
      // Closing a terminal may send SIGHUP and SIGTERM together; only a person is impatient.
      else if (name === 'SIGINT') onImpatience();
    });
  }
  return controller.signal;
}

/** Resolves when `signal` is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
