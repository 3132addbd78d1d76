/** A recount of an installation's streams, from the command line. */
import { readSettings } from '../../adapters/environment/settings.ts';
import { connectForRecount } from '../../adapters/postgres/pool.ts';
import { recountParts } from '../../adapters/recount/recountParts.ts';
import { withArchive } from '../../archive/config.ts';
import {
  type Reconciled,
  type ReconcileRequest,
  type ReconcileWatcher,
  reconcile,
} from '../../reconciler/reconcile.ts';
import { PARTITION_RECORDS_MAX } from '../../reconciler/shardReplay.ts';
import { withInstallationArchive } from '../archive/installationArchive.ts';
import { installation, withBroker, withLedger } from '../servers.ts';

const NAME = 'reconcile';

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
          return reconcile(request, {
            ...parts,
            // What the broker no longer holds comes from the archive.
            streams: withArchive(parts.streams, archive),
            settleGraceMs,
            partitionRecordsMax: PARTITION_RECORDS_MAX,
            watcher,
          });
        }),
      );
    } finally {
      await recountPool.end();
    }
  });
}
