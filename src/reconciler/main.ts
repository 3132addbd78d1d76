/**
 * The reconciler process: answers audits, runs reconciles that are asked for, and one by itself every so often, and
 * archives the hours that are over. Apart from the query service, so that no replay slows a dashboard down.
 */
import { randomInt } from 'node:crypto';
import { AuditService, auditPackage } from '../adapters/grpc/contract.ts';
import { startGrpcServer } from '../adapters/grpc/server.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { RoutingLog } from '../adapters/nats/routingLog.ts';
import { POOL_CONNECTIONS_MAX } from '../adapters/postgres/connectionBudget.ts';
import { countDrift } from '../adapters/postgres/countDrift.ts';
import { connectForRecount, connectPostgres } from '../adapters/postgres/pool.ts';
import { readRestatements } from '../adapters/postgres/readRestatements.ts';
import { readCheckpoints, readWindow } from '../adapters/postgres/readWindow.ts';
import { readReclassifications } from '../adapters/postgres/reclassifications.ts';
import { beginJob, interruptDeadJobs, readJob } from '../adapters/postgres/reconcileJobs.ts';
import { readSettlement } from '../adapters/postgres/settlement.ts';
import { serveMetrics } from '../adapters/prometheus/metricsServer.ts';
import { ReconcileMetrics } from '../adapters/prometheus/reconcileMetrics.ts';
import { recountParts, streamsOf } from '../adapters/recount/recountParts.ts';
import { runProcess } from '../adapters/system/lifecycle.ts';
import { createLog, logReady } from '../adapters/system/log.ts';
import { followReadiness, succeedsWithin } from '../adapters/system/readiness.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import { archiveSealed } from '../archive/archiveSealed.ts';
import { archiverParts, openArchive, withArchive } from '../archive/config.ts';
import { repeat } from '../domain/repeat.ts';
import { ArchiveLog } from './archiveLog.ts';
import { auditService } from './auditService.ts';
import { readConfig, replayersOpener } from './config.ts';
import { JobRunner } from './jobRunner.ts';
import { reconcile } from './reconcile.ts';
import { runScheduled } from './schedule.ts';

const NAME = 'reconciler';
const DRAIN_MS = 5_000;
/** Below what `up` waits before it kills. */
const DRAIN_BOUND_MS = 9_000;
/** A database that takes longer to answer is not ready. */
const READY_MS = 1_000;
const LOTS = 2 ** 32;
/** An hour is archived so long after its end at the latest. */
const ARCHIVE_EVERY_MS = 600_000;

const log = createLog(NAME);

await runProcess(log, DRAIN_BOUND_MS, async () => {
  const config = readConfig(process.env);
  log.level = config.logLevel;
  const nowMs = () => performance.now();
  const nats = await connectNats(config.natsUrl, NAME);
  const manager = await nats.jetstreamManager();
  const client = nats.jetstream();
  const routing = new RoutingLog(client, manager);
  await routing.read();
  const broker = { client, manager, routing };
  const archive = openArchive(process.env);
  const onPostgresError = (error: Error) => log.warn({ err: error }, 'PostgreSQL');
  const pool = connectPostgres(config.databaseUrl, NAME, POOL_CONNECTIONS_MAX.reconciler, onPostgresError);
  const recountPool = connectForRecount(config.databaseUrl, NAME, onPostgresError);
  await interruptDeadJobs(pool).catch((error: unknown) =>
    log.warn({ err: error }, 'what runs of an earlier process came to is said when the next one begins'),
  );

  const metrics = new ReconcileMetrics(() => countDrift(pool));
  const runner = new JobRunner({
    ledger: {
      begin: (startedBy, request) => beginJob(pool, startedBy, request),
      read: (id) => readJob(pool, id),
      interruptDead: () => interruptDeadJobs(pool),
    },
    run: (request, watcher, stop) => {
      const reading = { nowMs, stop, troubled: watcher.troubled.bind(watcher) };
      const parts = recountParts(broker, { pool, recountPool }, reading);
      const streams = withArchive(parts.streams, archive);
      return reconcile(
        {
          ...request,
          fromSettled: false,
          countsOnly: false,
          note: request.note === '' ? undefined : request.note,
          rejudge: undefined,
        },
        {
          ...parts,
          streams,
          openReplayers: replayersOpener({ streams, routing }, process.env, reading.troubled),
          settleGraceMs: config.settleGraceMs,
          watcher,
        },
      );
    },
    metrics,
    log,
    timers: systemTimers,
    nowMs,
  });
  const troubled = (error: unknown) => log.warn({ err: error }, 'an audit waits');
  const audits = {
    ledger: {
      window: (adId: string, minute: number) => readWindow(pool, adId, minute),
      checkpoints: () => readCheckpoints(pool),
      reclassifications: () => readReclassifications(pool),
      restatements: (selection: Parameters<typeof readRestatements>[1], most: number) =>
        readRestatements(pool, selection, most),
    },
    routing,
    openStreams: (stop: AbortController) =>
      withArchive(streamsOf(broker, { nowMs, troubled, stop }), archive),
  };
  const draining = new AbortController();
  const grpc = await startGrpcServer(
    { host: config.host, port: config.auditPort },
    auditPackage,
    ['clickledger.v1.AuditService'],
    (server) =>
      server.addService(
        AuditService.service,
        auditService({ audits, runner, log, draining: draining.signal }),
      ),
  );
  const metricsServer = serveMetrics(config.host, config.reconcilerMetricsPort, metrics.registry);
  const ready = () => succeedsWithin(pool.query('select'), READY_MS, systemTimers);
  void followReadiness(ready, grpc.setServing, systemTimers, draining.signal);
  const everyMs = config.reconcileIntervalMs;
  const settledThroughMs = async () => Math.max(0, (await readSettlement(pool)).settledThroughMs);
  const repeating = (everyMs: number, what: string) => ({
    everyMs,
    lot: () => randomInt(LOTS) / LOTS,
    timers: systemTimers,
    onFailure: (error: unknown) => log.error({ err: error }, what),
  });
  if (everyMs > 0) {
    const onSettledThrough = (ms: number) => metrics.settledThrough(ms);
    void repeat(
      () => runScheduled({ runner, settledThroughMs, onSettledThrough, log }),
      repeating(everyMs, 'the scheduled reconcile could not begin'),
      draining.signal,
    );
  }
  const archiver = archiverParts(
    process.env,
    { client, manager, pool },
    archive,
    new ArchiveLog(log),
    (shard, error, isFirst) => {
      if (isFirst) log.warn({ shard, err: error }, 'archiving waits for the stream');
    },
  );
  const archiving = repeat(
    async () => metrics.archived(await archiveSealed(archiver, draining.signal)),
    repeating(ARCHIVE_EVERY_MS, 'archiving failed'),
    draining.signal,
  );
  logReady(log, { audit: config.auditPort, metrics: config.reconcilerMetricsPort });

  return async () => {
    draining.abort();
    await Promise.all([runner.drain(), archiving]);
    await grpc.stop(DRAIN_MS);
    await metricsServer.stop();
    await Promise.all([nats.drain(), pool.end(), recountPool.end()]);
  };
});
