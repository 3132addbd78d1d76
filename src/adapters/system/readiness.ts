/** Whether what a process needs answers, and telling those who ask for its health. */
import type { Timers } from '../../domain/timers.ts';

const LOOK_AGAIN_MS = 1_000;

/** Whether `work` succeeds within this time. */
export function succeedsWithin(work: Promise<unknown>, timeoutMs: number, timers: Timers): Promise<boolean> {
  const succeeded = work.then(
    () => true,
    () => false,
  );
  return Promise.race([succeeded, timers.pause(timeoutMs).then(() => false)]);
}

/** Asks `isReady` once a second and tells every change, until `stop`; a process starts out as ready. */
export async function followReadiness(
  isReady: () => Promise<boolean>,
  tell: (ready: boolean) => void,
  timers: Timers,
  stop: AbortSignal,
): Promise<void> {
  for (let told = true; ; ) {
    await timers.pause(LOOK_AGAIN_MS, stop);
    const ready = await isReady();
    if (stop.aborted) return;
    if (ready !== told) tell(ready);
    told = ready;
  }
}
