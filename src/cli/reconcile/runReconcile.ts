/** Puts the adapters together for a recount of an installation's streams. */
import { tmpdir } from 'node:os';
import { SpillFiles } from '../../adapters/disk/spillFiles.ts';
import { readSettings } from '../../adapters/environment/settings.ts';
import { decodeClickBatch } from '../../adapters/nats/clickBatchCodec.ts';
import { ClickReader } from '../../adapters/nats/clickReader.ts';
import { listShards, readStreamState } from '../../adapters/nats/clickStreams.ts';
import { DayPartitions } from '../../adapters/postgres/dayPartitions.ts';
import { connectForRecount } from '../../adapters/postgres/pool.ts';
import { RecountSession } from '../../adapters/postgres/recountSession.ts';
import { beginReconcileRun, restate } from '../../adapters/postgres/restate.ts';
import { readArrivals, readSettlement, watchThrough } from '../../adapters/postgres/settlement.ts';
import { systemTimers } from '../../adapters/system/timers.ts';
import { withArchive } from '../../archive/config.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import type { ShardStreams } from '../../domain/shardStreams.ts';
import type { Settling } from '../../reconciler/ports.ts';
import {
  type Reconciled,
  type ReconcileRequest,
  type ReconcileWatcher,
  reconcile,
} from '../../reconciler/reconcile.ts';
import { PARTITION_RECORDS_MAX } from '../../reconciler/shardReplay.ts';
import { withInstallationArchive } from '../archive/installationArchive.ts';
import { type Broker, installation, type Ledger, withBroker, withLedger } from '../servers.ts';

const NAME = 'reconcile';
/** A broker that delivers nothing for so long is not waited for any more. */
const SILENCE_MAX_MS = 60_000;

/** @param stop ends it; what was restated stays */
export function runReconcile(
  request: ReconcileRequest,
  watcher: ReconcileWatcher,
  nowMs: () => number,
  stop: AbortController,
): Promise<Reconciled> {
  const { settleGraceMs } = readSettings(installation(), ['settleGraceMs']);
  return withLedger(NAME, async (ledger) => {
    const recountPool = connectForRecount(ledger.url, NAME, () => undefined);
    try {
      return await withServedStreams(watcher, nowMs, stop, (broker, streams) =>
        reconcile(request, {
          ...restating(ledger),
          settling: settlingOf(ledger, broker),
          settleGraceMs,
          streams,
          routing: broker.routing,
          newSpill: (parts) => SpillFiles.create(tmpdir(), parts),
          partitionRecordsMax: PARTITION_RECORDS_MAX,
          openSession: () => RecountSession.open(recountPool),
          timers: systemTimers,
          watcher,
          stop: stop.signal,
        }),
      );
    } finally {
      await recountPool.end();
    }
  });
}

function restating({ pool }: Ledger) {
  const partitions = new DayPartitions(pool);
  return {
    restatements: {
      begin: () => beginReconcileRun(pool),
      restate: (chunk: Parameters<typeof restate>[2]) => restate(pool, partitions, chunk),
    },
  };
}

function settlingOf({ pool }: Ledger, { manager }: Broker): Settling {
  return {
    read: () => readSettlement(pool),
    arrivals: async () => {
      const stored = await readArrivals(pool);
      const shards = await listShards(manager);
      return shards.map((shard) => ({ shard, arrivedThroughMs: stored.get(shard) ?? 0 }));
    },
    watch: (throughMs) => watchThrough(pool, throughMs),
  };
}

/** What the broker no longer holds comes from the archive. */
function withServedStreams<T>(
  watcher: ReconcileWatcher,
  nowMs: () => number,
  stop: AbortController,
  use: (broker: Broker, streams: ShardStreams) => Promise<T>,
): Promise<T> {
  return withInstallationArchive((store) =>
    withBroker(NAME, (broker) => use(broker, withArchive(liveStreams(broker, watcher, nowMs, stop), store))),
  );
}

/** The reader waits for a broker as long as it takes; a person who waits for an answer does not. */
function liveStreams(
  { client, manager }: Broker,
  watcher: ReconcileWatcher,
  nowMs: () => number,
  stop: AbortController,
): ShardStreams {
  let readMs = nowMs();
  const reader = new ClickReader(client, manager, (shard, error) => {
    watcher.troubled(error);
    if (nowMs() - readMs < SILENCE_MAX_MS) return;
    const why = error instanceof Error ? error.message : String(error);
    stop.abort(new UndecidedError(`the stream of shard ${shard} cannot be read: ${why}`));
  });
  return {
    state: (shard) => readStreamState(manager, shard),
    firstSequenceAt: (shard, incarnation, timeMs) => reader.firstSequenceAt(shard, incarnation, timeMs),
    decode: decodeClickBatch,
    async *read(...place) {
      readMs = nowMs();
      for await (const message of reader.read(...place)) {
        readMs = nowMs();
        yield message;
      }
    },
  };
}
