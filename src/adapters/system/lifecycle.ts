/** How a process ends: asked by a signal it drains, with an unexpected error it says so and stops. */
import type { Logger } from 'pino';
import { SettingsError } from '../environment/settings.ts';

export const EXIT_SETTINGS = 2;

/**
 * Runs a process: `start` brings it up and returns how to drain it. SIGTERM and SIGINT drain once and exit 0;
 * an error while draining exits 1, and so does a drain that takes longer than `drainBoundMs`, because a server does not
 * answer: nothing is lost by that, the next start goes on from what is stored.
 */
export async function runProcess(
  log: Logger,
  drainBoundMs: number,
  start: () => Promise<() => Promise<void>>,
): Promise<void> {
  process.on('unhandledRejection', (reason) => crash(log, reason));
  process.on('uncaughtException', (error) => crash(log, error));
  const asked = Promise.withResolvers<NodeJS.Signals>();
  process.on('SIGTERM', asked.resolve);
  process.on('SIGINT', asked.resolve);
  try {
    const drain = await start();
    const signal = await asked.promise;
    log.info({ signal }, 'draining');
    setTimeout(() => crash(log, new Error(`not drained in ${drainBoundMs} ms`)), drainBoundMs);
    await drain();
    log.info('drained');
    process.exit(0);
  } catch (error) {
    crash(log, error);
  }
}

function crash(log: Logger, error: unknown): never {
  log.fatal(
    error instanceof Error ? { err: error } : { error },
    error instanceof Error ? error.message : 'crashed',
  );
  process.exit(error instanceof SettingsError ? EXIT_SETTINGS : 1);
}
