/** The actors process: counts the clicks of the shards that it owns. */
import { randomUUID } from 'node:crypto';
import { decodeClickBatch } from '../adapters/nats/clickBatchCodec.ts';
import { ClickReader } from '../adapters/nats/clickReader.ts';
import { listShards, readStreamState } from '../adapters/nats/clickStreams.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { serveLiveDeltas } from '../adapters/nats/liveDeltas.ts';
import { RoutingLog } from '../adapters/nats/routingLog.ts';
import { claimShards } from '../adapters/postgres/claimShards.ts';
import { DayPartitions } from '../adapters/postgres/dayPartitions.ts';
import { connectPostgres } from '../adapters/postgres/pool.ts';
import { releaseShards } from '../adapters/postgres/releaseShards.ts';
import { renewLeases } from '../adapters/postgres/renewLeases.ts';
import { storeFlush } from '../adapters/postgres/storeFlush.ts';
import { connectRedis, loadFoldMemories } from '../adapters/redis/foldMemory.ts';
import { checkRedis } from '../adapters/redis/requirements.ts';
import { systemClock } from '../adapters/system/clock.ts';
import { runProcess } from '../adapters/system/lifecycle.ts';
import { createLog, logReady } from '../adapters/system/log.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import { readConfig } from './config.ts';
import { ActorNode } from './node.ts';
import type { ClickStreams, Ledger } from './ports.ts';

const POSTGRES_CONNECTIONS_MAX = 8;

const log = createLog('actors');

await runProcess(log, async () => {
  const config = readConfig(process.env);
  log.level = config.logLevel;
  const nats = await connectNats(config.natsUrl, config.nodeName);
  const manager = await nats.jetstreamManager();
  const client = nats.jetstream();
  await checkRedis(config.redisUrl);
  const redis = connectRedis(config.redisUrl, (error) => log.warn({ err: error }, 'Redis'));
  const pool = connectPostgres(config.databaseUrl, config.nodeName, POSTGRES_CONNECTIONS_MAX, (error) =>
    log.warn({ err: error }, 'PostgreSQL'),
  );
  const routing = new RoutingLog(client, manager);
  await routing.read();

  const reader = new ClickReader(client, manager, (shard, error) =>
    log.warn({ shard, err: error }, 'reading broke off; it goes on where it was'),
  );
  const streams: ClickStreams = {
    list: () => listShards(manager),
    state: (shard) => readStreamState(manager, shard),
    read: (shard, incarnation, from, stop, through) => reader.read(shard, incarnation, from, stop, through),
    firstSequenceAt: (shard, incarnation, timeMs) => reader.firstSequenceAt(shard, incarnation, timeMs),
    decode: (bytes) => decodeClickBatch(bytes),
  };
  const partitions = new DayPartitions(pool);
  const ledger: Ledger = {
    claim: (shards) => claimShards(pool, config.nodeName, shards, config.leaseMs),
    renew: (beats) => renewLeases(pool, beats, config.leaseMs),
    store: (flush) => storeFlush(pool, partitions, flush),
    release: () => releaseShards(pool, config.nodeName),
  };
  const node = new ActorNode({
    streams,
    routing,
    ledger,
    log,
    memoryOf: await loadFoldMemories(redis, routing.table.rules.dedupHorizonMs),
    newGeneration: randomUUID,
    newClaim: randomUUID,
    flushIntervalMs: config.flushIntervalMs,
    heartbeatMs: config.heartbeatMs,
    clock: systemClock,
    timers: systemTimers,
  });
  await node.start();
  serveLiveDeltas(
    nats,
    config.nodeName,
    (request) => node.liveDeltas(request),
    (error) => log.error({ err: error }, 'a request for unflushed counts is left without an answer'),
  );
  logReady(log, { node: config.nodeName, shards: node.shards.length });

  return async () => {
    await node.drain();
    redis.disconnect();
    await Promise.all([nats.drain(), pool.end()]);
  };
});
