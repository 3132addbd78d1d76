/** The query process: answers counts over gRPC and HTTP, and hands audits on to the reconciler. */
import { randomUUID } from 'node:crypto';
import { localAddress } from '../adapters/environment/localAddress.ts';
import { AuditService, ClickQueryService, queryPackage } from '../adapters/grpc/contract.ts';
import { forwardTo } from '../adapters/grpc/forwarder.ts';
import { startGrpcServer } from '../adapters/grpc/server.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { askLiveDeltas } from '../adapters/nats/liveDeltas.ts';
import { POOL_CONNECTIONS_MAX } from '../adapters/postgres/connectionBudget.ts';
import { openRows } from '../adapters/postgres/exportRows.ts';
import { connectPostgres } from '../adapters/postgres/pool.ts';
import { listAds } from '../adapters/postgres/readAds.ts';
import { readAggregates } from '../adapters/postgres/readAggregates.ts';
import { readAskedAds } from '../adapters/postgres/readAskedAds.ts';
import { readChanges } from '../adapters/postgres/readChanges.ts';
import { readPastAggregates } from '../adapters/postgres/readPastAggregates.ts';
import { readPeople } from '../adapters/postgres/readPeople.ts';
import { readTop } from '../adapters/postgres/readTop.ts';
import { followSettledChanges } from '../adapters/postgres/settledChanges.ts';
import { serveMetrics } from '../adapters/prometheus/metricsServer.ts';
import { QueryMetrics } from '../adapters/prometheus/queryMetrics.ts';
import { AnswerMemory } from '../adapters/redis/answerMemory.ts';
import { systemClock } from '../adapters/system/clock.ts';
import { runProcess } from '../adapters/system/lifecycle.ts';
import { createLog, logReady } from '../adapters/system/log.ts';
import { followReadiness, succeedsWithin } from '../adapters/system/readiness.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import { csvTable } from '../adapters/tables/csvTable.ts';
import { ndjsonTable } from '../adapters/tables/ndjsonTable.ts';
import { parquetTable } from '../adapters/tables/parquetTable.ts';
import { aggregateAnswers } from './aggregateAnswers.ts';
import { AggregateReader } from './aggregateReader.ts';
import type { Answers } from './answers.ts';
import { compareAnswers } from './compareAnswers.ts';
import { readConfig } from './config.ts';
import { exportAnswers } from './exportAnswers.ts';
import { Follower } from './follower.ts';
import { meteredAnswers } from './meteredAnswers.ts';
import type { ReadAds } from './ports.ts';
import { queryService } from './queryService.ts';
import { SettledCache } from './settledCache.ts';
import { streamAnswers } from './streamAnswers.ts';
import { topAnswers } from './topAnswers.ts';
import { uniquesAnswers } from './uniquesAnswers.ts';
import { readPageFiles } from './web/pageFiles.ts';
import { Web } from './web/web.ts';

const DRAIN_MS = 7_000;
/** Below what `up` waits before it kills. */
const DRAIN_BOUND_MS = 9_000;
/** As in the gateway: nobody sends a body. */
const BODY_BYTES_MAX = 1;
const IDLE_SECONDS = 60;
/** A database that takes longer to answer is not ready. */
const READY_MS = 1_000;

const QUERY = 'clickledger.v1.ClickQueryService';
const AUDIT = 'clickledger.v1.AuditService';

const log = createLog('query');

await runProcess(log, DRAIN_BOUND_MS, async () => {
  const config = readConfig(process.env);
  log.level = config.logLevel;
  const nats = await connectNats(config.natsUrl, 'query');
  const pool = connectPostgres(config.databaseUrl, 'query', POOL_CONNECTIONS_MAX.query, (error) =>
    log.warn({ err: error }, 'PostgreSQL'),
  );
  const nowMs = () => performance.now();
  const shared =
    config.cacheRedisUrl === ''
      ? undefined
      : new AnswerMemory({
          url: config.cacheRedisUrl,
          nowMs,
          onTrouble: (error) => log.warn({ err: error }, 'the shared memory of settled rows'),
        });
  const cache = new SettledCache({ shared, found: (source) => metrics.settledRead(source) });
  const metrics = new QueryMetrics(nowMs, () => cache.bytes);
  const reader = new AggregateReader({
    readStored: (question, rowsMax, signal) => readAggregates(pool, question, rowsMax, signal, cache.recall),
    readPast: (asOfMs, ...asked) => readPastAggregates(pool, asOfMs, ...asked),
    askOwner: (owner, request) => askLiveDeltas(nats, owner, request, config.liveTimeoutMs),
  });
  const readAds: ReadAds = (...asked) => readAskedAds(pool, ...asked);
  const follower = new Follower({
    readChanges: (asked) => readChanges(pool, asked),
    askOwner: (owner, request) => askLiveDeltas(nats, owner, request, config.liveTimeoutMs),
    timers: systemTimers,
    nowMs: systemClock,
    log,
  });
  const served: Answers = {
    queryAggregates: aggregateAnswers({ reader, readAds }),
    topN: topAnswers({ readTop: (...asked) => readTop(pool, ...asked), readAds }),
    compareAggregates: compareAnswers({ reader, readAds }),
    queryUniques: uniquesAnswers((wanted, signal) => readPeople(pool, wanted, signal)),
    streamAggregates: streamAnswers({
      follower,
      timers: systemTimers,
      nowMs: systemClock,
      run: randomUUID(),
    }),
    exportAggregates: exportAnswers({
      openRows: (...asked) => openRows(pool, ...asked),
      readAds,
      formats: { CSV: csvTable, NDJSON: ndjsonTable, PARQUET: parquetTable },
      timers: systemTimers,
    }),
  };
  const answers = meteredAnswers(served, metrics);
  const audits = forwardTo(
    localAddress(config.host, config.auditPort),
    AuditService.service,
    'the reconciler is away: audits wait for it, counting and counts do not; ask again',
  );
  const grpc = await startGrpcServer(
    { host: config.host, port: config.queryPort },
    queryPackage,
    [QUERY, AUDIT],
    (server) => {
      server.addService(ClickQueryService.service, queryService({ answers, log }));
      server.addService(audits.definition, audits.handlers);
    },
    { gzip: true },
  );
  const metricsServer = serveMetrics(config.host, config.queryMetricsPort, metrics.registry);
  const ready = () => succeedsWithin(pool.query('select'), READY_MS, systemTimers);
  const web = new Web({
    answers,
    page: await readPageFiles(),
    listAds: (prefix, afterAdId, limit) => listAds(pool, prefix, afterAdId, limit),
    isReady: ready,
    pause: systemTimers.pause,
    log,
  });
  const http = Bun.serve({
    hostname: config.host,
    port: config.webPort,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: BODY_BYTES_MAX,
    // Otherwise it shows its errors to whoever asks.
    development: false,
    fetch: (request, server) => {
      if (web.isStream(request)) server.timeout(request, 0);
      return web.handle(request);
    },
  });
  const draining = new AbortController();
  const tellReady = (serving: boolean) => {
    for (const name of ['', QUERY]) grpc.setServing(serving, name);
  };
  void followReadiness(ready, tellReady, systemTimers, draining.signal);
  const tellAudits = (serving: boolean) => grpc.setServing(serving, AUDIT);
  void followReadiness(() => audits.reaches(READY_MS), tellAudits, systemTimers, draining.signal);
  const changes = followSettledChanges(
    {
      url: config.databaseUrl,
      name: 'query',
      changed: (dayMs, slot) => cache.drop(dayMs, slot),
      onError: (error) => log.warn({ err: error }, 'changes of settled counts are not heard'),
      timers: systemTimers,
    },
    draining.signal,
  );
  logReady(log, { query: config.queryPort, web: config.webPort, metrics: config.queryMetricsPort });

  return async () => {
    draining.abort();
    follower.stop();
    web.end();
    await Promise.all([http.stop(), grpc.stop(DRAIN_MS)]);
    audits.close();
    shared?.close();
    await Promise.all([nats.drain(), pool.end(), changes, metricsServer.stop()]);
  };
});
