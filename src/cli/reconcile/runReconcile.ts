/** A recount of an installation's streams, from the command line. */
import type { Pool } from 'pg';
import { readSettings } from '../../adapters/environment/settings.ts';
import { AdvisoryLock, RUN_LOCK } from '../../adapters/postgres/advisoryLock.ts';
import { connectForRecount } from '../../adapters/postgres/pool.ts';
import { recountParts } from '../../adapters/recount/recountParts.ts';
import { systemTimers } from '../../adapters/system/timers.ts';
import { withArchive } from '../../archive/config.ts';
import { replayersOpener } from '../../reconciler/config.ts';
import {
  type Reconciled,
  type ReconcileRequest,
  type ReconcileWatcher,
  reconcile,
} from '../../reconciler/reconcile.ts';
import { archiveEnvironment, withInstallationArchive } from '../archive/installationArchive.ts';
import { installation, withBroker, withLedger } from '../servers.ts';
import { printError } from '../terminal.ts';

const NAME = 'reconcile';
const TURN_MS = 500;

/** @param stop ends it; what was restated stays */
export function runReconcile(
  request: ReconcileRequest,
  watcher: ReconcileWatcher,
  nowMs: () => number,
  stop: AbortController,
): Promise<Reconciled> {
  const { settleGraceMs } = readSettings(installation(), ['settleGraceMs']);
  const reading = { nowMs, troubled: (error: unknown) => watcher.troubled(error), stop };
  return withLedger(NAME, async ({ url, pool }) => {
    const recountPool = connectForRecount(url, NAME, () => undefined);
    try {
      return await withInstallationArchive((archive) =>
        withBroker(NAME, (broker) => {
          const parts = recountParts(broker, { pool, recountPool }, reading);
          // What the broker no longer holds comes from the archive.
          const streams = withArchive(parts.streams, archive);
          const environment = { ...process.env, ...archiveEnvironment() };
          const openReplayers = replayersOpener({ ...broker, streams }, environment, reading.troubled);
          const run = () => reconcile(request, { ...parts, streams, openReplayers, settleGraceMs, watcher });
          return request.apply || request.settle ? inTurn(pool, stop.signal, run) : run();
        }),
      );
    } finally {
      await recountPool.end();
    }
  });
}

/** After the run that writes now: it may be the scheduled one. */
async function inTurn<T>(pool: Pool, stop: AbortSignal, run: () => Promise<T>): Promise<T> {
  let lock = await AdvisoryLock.take(pool, RUN_LOCK);
  if (lock === undefined) printError('another reconcile writes now: this one waits for its end');
  for (; lock === undefined; lock = await AdvisoryLock.take(pool, RUN_LOCK)) {
    await systemTimers.pause(TURN_MS, stop);
    stop.throwIfAborted();
  }
  try {
    return await run();
  } finally {
    await lock.release();
  }
}
