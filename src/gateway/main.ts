/** The gateway process: answers click URLs over HTTP, takes clicks and ads over gRPC. */
import { randomUUID } from 'node:crypto';
import { SpoolFolders } from '../adapters/disk/spoolFolders.ts';
import { GeoFile } from '../adapters/geo/geoFile.ts';
import { AdCatalogService, ClickIngestService, ingestPackage } from '../adapters/grpc/contract.ts';
import { startGrpcServer } from '../adapters/grpc/server.ts';
import { plainIngest } from '../adapters/ingest/plainIngest.ts';
import { announceRates, onRates } from '../adapters/nats/adRates.ts';
import { announceAds, onAdsChanged } from '../adapters/nats/catalogChanges.ts';
import { decodeClickFacts, encodeClickBatch, encodeClickRecord } from '../adapters/nats/clickBatchCodec.ts';
import { ClickPublisher } from '../adapters/nats/clickPublisher.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { Connectivity } from '../adapters/nats/connectivity.ts';
import { RoutingLog, routingIncarnation } from '../adapters/nats/routingLog.ts';
import { StandingBatches } from '../adapters/nats/standingBatches.ts';
import { POOL_CONNECTIONS_MAX } from '../adapters/postgres/connectionBudget.ts';
import { connectPostgres } from '../adapters/postgres/pool.ts';
import { pageAds, readAds } from '../adapters/postgres/readAds.ts';
import { upsertAds } from '../adapters/postgres/upsertAds.ts';
import { systemClock } from '../adapters/system/clock.ts';
import { runProcess } from '../adapters/system/lifecycle.ts';
import { createLog, logReady } from '../adapters/system/log.ts';
import { followReadiness, succeedsWithin } from '../adapters/system/readiness.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import { UserAgents } from '../adapters/useragent/userAgents.ts';
import type { FactFinder } from '../domain/factFinder.ts';
import { MonthlySalt } from '../domain/monthlySalt.ts';
import { NOWHERE } from '../domain/place.ts';
import { AdDirectory } from './adDirectory.ts';
import { catalogService } from './catalogService.ts';
import { ClickHttp, nothingThere } from './clickHttp.ts';
import { ClickOrigin } from './clickOrigin.ts';
import { openClickPath } from './clickPath.ts';
import { readConfig } from './config.ts';
import { ingestService } from './ingestService.ts';
import { LeftSpools } from './leftSpools.ts';
import type { AdStore } from './ports.ts';
import { readiness } from './readiness.ts';

/** Looking an ad up is in the way of a click. */
const STATEMENT_TIMEOUT_MS = 4_000;
const DRAIN_MS = 7_000;
/** Below what `up` waits before it kills. */
const DRAIN_BOUND_MS = 9_000;
/** A broker that takes longer to answer is not ready. */
const READY_MS = 1_000;

const log = createLog('gateway');

await runProcess(log, DRAIN_BOUND_MS, async () => {
  const config = readConfig(process.env);
  log.level = config.logLevel;
  const geoFile = config.geoFile === '' ? undefined : await GeoFile.open(config.geoFile, log);
  const nats = await connectNats(config.natsUrl, 'gateway');
  const answersIn = { timeout: config.publishTimeoutMs };
  const manager = await nats.jetstreamManager(answersIn);
  const client = nats.jetstream(answersIn);
  const pool = connectPostgres(
    config.databaseUrl,
    'gateway',
    POOL_CONNECTIONS_MAX.gateway,
    (error) => log.warn({ err: error }, 'PostgreSQL'),
    STATEMENT_TIMEOUT_MS,
  );
  const routing = new RoutingLog(client, manager);
  await routing.read();

  const store: AdStore = {
    read: (adIds) => readAds(pool, adIds),
    page: (afterAdId, limit) => pageAds(pool, afterAdId, limit),
    upsert: (ads) => upsertAds(pool, ads),
    announce: (adIds) => announceAds(nats, adIds),
  };
  const ads = new AdDirectory(store, systemClock, log);
  onAdsChanged(nats, (adIds) => ads.forget(adIds));

  const connectivity = new Connectivity(nats);
  const publisher = new ClickPublisher(client, manager, connectivity, config.publishTimeoutMs);
  const standing = new StandingBatches(client, manager);
  const spools = await SpoolFolders.open(config.spoolDirectory, await routingIncarnation(manager));
  const folder = await spools.takeFree();
  const run = randomUUID();
  let batches = 0;
  const { clickLog, spool, drainSpool, openLeftSpool, hotAds } = await openClickPath({
    routing,
    publish: (shard, bytes, batchId) => publisher.publish(shard, bytes, batchId),
    findStanding: (shard, batchIds, sinceMs, stop) => standing.find(shard, batchIds, sinceMs, stop),
    folder,
    bytesMax: config.spoolBytesMax,
    publishTimeoutMs: config.publishTimeoutMs,
    encodeRecord: encodeClickRecord,
    encodeBatch: encodeClickBatch,
    decodeRecord: decodeClickFacts,
    gateway: run,
    hotAdRate: config.hotAdRate,
    hotAdCalmMs: config.hotAdCalmMs,
    announce: (announcement) => announceRates(nats, connectivity, announcement),
    newBatchId: () => `${run}-${++batches}`,
    clock: systemClock,
    timers: systemTimers,
    log,
  });
  const leftSpools = new LeftSpools({
    takeLeft: () => spools.takeLeft(),
    openLeftSpool,
    timers: systemTimers,
    log,
  });
  onRates(nats, (announcement) => hotAds.hear(announcement));
  const userKeySalt = new MonthlySalt(config.userKeySalt);
  const userAgents = new UserAgents();
  const finder: FactFinder = {
    ofUserAgent: (userAgent) => userAgents.read(userAgent),
    ofAddress: (address) => geoFile?.place(address) ?? NOWHERE,
  };
  const shared = { ads, clickLog, userKeySalt, finder, clock: systemClock, log };

  const waiting = () => spool.bytes + leftSpools.bytes;
  const ready = async () =>
    readiness(await succeedsWithin(nats.rtt(), READY_MS, systemTimers), {
      bytes: waiting(),
      isFull: spool.isFull,
    });
  const draining = new AbortController();
  const ingest = plainIngest(ClickIngestService.service, {
    userKeySalt,
    finder,
    clock: systemClock,
  });
  const grpc = await startGrpcServer(
    { host: config.host, port: config.ingestPort, isShared: config.sharesPorts },
    ingestPackage,
    ['clickledger.v1.ClickIngestService', 'clickledger.v1.AdCatalogService'],
    (server) => {
      server.addService(ingest, ingestService({ ...shared, draining: draining.signal }));
      server.addService(AdCatalogService.service, catalogService({ store, ads, log }));
    },
  );
  const clickHttp = new ClickHttp({
    ...shared,
    origin: new ClickOrigin(config.trustedProxies, config.countryHeader),
    signingKeys: config.signingKeys,
    clickUrlTtlMs: config.clickUrlTtlMs,
    // Without a time of its own it would stay ahead of a clock that was set back.
    newClickId: (timeMs) => Bun.randomUUIDv7('buffer', timeMs),
  });
  const http = Bun.serve({
    hostname: config.host,
    port: config.httpPort,
    reusePort: config.sharesPorts,
    idleTimeout: Math.ceil(config.httpTimeoutMs / 1000),
    maxRequestBodySize: 1,
    routes: {
      '/click': (request, server) => clickHttp.handle(request, server.requestIP(request)?.address ?? ''),
      '/healthz': Response.json({ status: 'ok' }),
      '/readyz': ready,
    },
    fetch: nothingThere,
    error: (error) => {
      log.error({ err: error }, 'a request failed');
      return Response.json({ error: 'the gateway failed; the click may be tried again' }, { status: 503 });
    },
  });
  const drained = Promise.all([drainSpool(draining.signal), leftSpools.run(draining.signal)]);
  const calmed = hotAds.run(draining.signal);
  const followed = geoFile?.follow(systemTimers, draining.signal);
  void followReadiness(async () => (await ready()).ok, grpc.setServing, systemTimers, draining.signal);
  logReady(log, { http: http.port, ingest: config.ingestPort });

  return async () => {
    draining.abort();
    await Promise.all([http.stop(), grpc.stop(DRAIN_MS), drained, calmed, followed]);
    if (spool.bytes > 0)
      log.warn(
        { bytes: spool.bytes },
        'clicks stay in the spool; another gateway of this machine sends them, or the next start',
      );
    await Promise.all([nats.drain(), pool.end()]);
    // Last: as long as anything here may still write to the spool, it is nobody else's.
    folder.close();
  };
});
