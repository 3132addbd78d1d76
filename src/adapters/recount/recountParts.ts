/**
 * What a recount reads and writes, put together of the adapters in one place: for the command that reconciles, and for
 * the reconciler process.
 */

import type { JetStreamClient, JetStreamManager } from 'nats';
import type { Pool } from 'pg';
import { errorText } from '../../domain/errorText.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import type { Reclassification } from '../../domain/rulesInForce.ts';
import type { Routing, ShardStreams } from '../../domain/shardStreams.ts';
import { decodeClickBatch } from '../nats/clickBatchCodec.ts';
import { ClickReader } from '../nats/clickReader.ts';
import { listShards, readStreamState } from '../nats/clickStreams.ts';
import { DayPartitions } from '../postgres/dayPartitions.ts';
import { recordReclassification } from '../postgres/reclassifications.ts';
import { RecountSession } from '../postgres/recountSession.ts';
import { beginReconcileRun, restate } from '../postgres/restate.ts';
import { readArrivals, readSettlement, watchThrough } from '../postgres/settlement.ts';
import { systemClock } from '../system/clock.ts';
import { systemTimers } from '../system/timers.ts';

/** A broker that delivers nothing for so long is not waited for any more. */
const SILENCE_MAX_MS = 60_000;

export interface RecountBroker {
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly routing: Routing;
}

export interface RecountLedger {
  readonly pool: Pool;
  /** With no bound for a statement. */
  readonly recountPool: Pool;
}

/** How the streams are read, and who hears of it. */
export interface Reading {
  /** Milliseconds, from any moment on. */
  readonly nowMs: () => number;
  readonly troubled: (error: unknown) => void;
  /** Ends it; given, with the reason, where a stream cannot be read. */
  readonly stop: AbortController;
}

/** All that `reconcile` needs but its limits and its watcher. */
export function recountParts(broker: RecountBroker, { pool, recountPool }: RecountLedger, reading: Reading) {
  const partitions = new DayPartitions(pool);
  return {
    streams: streamsOf(broker, reading),
    routing: broker.routing,
    openSession: async () => {
      const session = await RecountSession.open(recountPool);
      // A comparison may take long, and hears of nothing else.
      reading.stop.signal.addEventListener('abort', () => void session.close());
      return session;
    },
    restatements: {
      begin: () => beginReconcileRun(pool),
      reclassify: (run: number, reclassification: Reclassification) =>
        recordReclassification(pool, run, reclassification),
      restate: (chunk: Parameters<typeof restate>[2]) => restate(pool, partitions, chunk),
    },
    settling: {
      read: () => readSettlement(pool),
      arrivals: async () => {
        const stored = await readArrivals(pool);
        const shards = await listShards(broker.manager);
        // A broker whose clock runs ahead must not settle minutes that are still to come.
        const nowMs = systemClock();
        return shards.map((shard) => ({ shard, arrivedThroughMs: Math.min(nowMs, stored.get(shard) ?? 0) }));
      },
      watch: (throughMs: number) => watchThrough(pool, throughMs),
    },
    timers: systemTimers,
    stop: reading.stop.signal,
  };
}

/** The reader waits for a broker as long as it takes; whoever waits for an answer does not. */
export function streamsOf(
  { client, manager }: Pick<RecountBroker, 'client' | 'manager'>,
  { nowMs, troubled, stop }: Reading,
): ShardStreams {
  let readMs = nowMs();
  const reader = new ClickReader(client, manager, (shard, error) => {
    troubled(error);
    if (nowMs() - readMs < SILENCE_MAX_MS) return;
    const why = errorText(error);
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
