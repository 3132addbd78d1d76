/** The actors process: counts the clicks of the shards that it owns. */
import { randomUUID } from 'node:crypto';
import { decodeClickBatch } from '../adapters/nats/clickBatchCodec.ts';
import { ClickReader } from '../adapters/nats/clickReader.ts';
import { listShards, readStreamState } from '../adapters/nats/clickStreams.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { onReconnect } from '../adapters/nats/connectivity.ts';
import { serveLiveDeltas } from '../adapters/nats/liveDeltas.ts';
import { announceChange, onOwnershipChange } from '../adapters/nats/ownershipChanges.ts';
import { RoutingLog } from '../adapters/nats/routingLog.ts';
import { beatNode } from '../adapters/postgres/beatNode.ts';
import { claimShards } from '../adapters/postgres/claimShards.ts';
import { POOL_CONNECTIONS_MAX } from '../adapters/postgres/connectionBudget.ts';
import { DayPartitions } from '../adapters/postgres/dayPartitions.ts';
import { connectForHeartbeats, connectPostgres } from '../adapters/postgres/pool.ts';
import { releaseShard } from '../adapters/postgres/releaseShard.ts';
import { storeFlush } from '../adapters/postgres/storeFlush.ts';
import { connectRedis, loadFoldMemories } from '../adapters/redis/foldMemory.ts';
import { checkRedis } from '../adapters/redis/requirements.ts';
import { systemClock } from '../adapters/system/clock.ts';
import { runProcess } from '../adapters/system/lifecycle.ts';
import { createLog, logReady } from '../adapters/system/log.ts';
import { succeedsWithin } from '../adapters/system/readiness.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import { readConfig } from './config.ts';
import { ActorNode } from './node.ts';
import type { ClickStreams, Ledger } from './ports.ts';

/** A server that takes longer to answer is not reached. */
const ANSWER_MS = 1_000;
/** Below what `up` waits before it kills. */
const DRAIN_BOUND_MS = 28_000;
/** One that hangs is given up after this part of the lease: so the next one, by LEASE > 2 × HEARTBEAT, is in time. */
const HEARTBEATS_IN_A_LEASE = 3;

const log = createLog('actors');

await runProcess(log, DRAIN_BOUND_MS, async () => {
  const config = readConfig(process.env);
  log.level = config.logLevel;
  const { nodeName, databaseUrl, leaseMs } = config;
  const nats = await connectNats(config.natsUrl, nodeName);
  const manager = await nats.jetstreamManager();
  const client = nats.jetstream();
  await checkRedis(config.redisUrl);
  const redis = connectRedis(config.redisUrl, (error) => log.warn({ err: error }, 'Redis'));
  const onPostgresError = (error: Error) => log.warn({ err: error }, 'PostgreSQL');
  const pool = connectPostgres(databaseUrl, nodeName, POOL_CONNECTIONS_MAX.actors, onPostgresError);
  const heartbeats = connectForHeartbeats(
    databaseUrl,
    nodeName,
    Math.floor(leaseMs / HEARTBEATS_IN_A_LEASE),
    onPostgresError,
  );
  const routing = new RoutingLog(client, manager);
  await routing.read();

  const reader = new ClickReader(client, manager, (shard, error, isFirst) => {
    if (isFirst) log.warn({ shard, err: error }, 'reading broke off; it goes on where it was');
  });
  void onReconnect(nats, () => reader.reconnected());
  const streams: ClickStreams = {
    list: () => listShards(manager),
    state: (shard) => readStreamState(manager, shard),
    read: (shard, incarnation, from, stop, through) => reader.read(shard, incarnation, from, stop, through),
    firstSequenceAt: (shard, incarnation, timeMs) => reader.firstSequenceAt(shard, incarnation, timeMs),
    decode: (bytes) => decodeClickBatch(bytes),
  };
  const partitions = new DayPartitions(pool);
  const ledger: Ledger = {
    claim: (shards, most) => claimShards(pool, nodeName, shards, most, leaseMs),
    renew: (beats, lives) => beatNode(heartbeats, nodeName, lives, beats, leaseMs),
    store: (flush) => storeFlush(pool, partitions, flush),
    release: (hold) => releaseShard(pool, hold),
  };
  const node = new ActorNode({
    name: nodeName,
    changes: {
      announce: () => announceChange(nats, nodeName),
      onChange: (heard) => onOwnershipChange(nats, nodeName, heard),
    },
    streams,
    routing,
    ledger,
    log,
    memoryOf: await loadFoldMemories(redis, routing.table.rules.dedupHorizonMs),
    newGeneration: randomUUID,
    newClaim: randomUUID,
    reachesServers: async () => {
      const answers = [nats.rtt(), redis.ping()];
      const inTime = await Promise.all(answers.map((one) => succeedsWithin(one, ANSWER_MS, systemTimers)));
      return inTime.every(Boolean);
    },
    flushIntervalMs: config.flushIntervalMs,
    heartbeatMs: config.heartbeatMs,
    clock: systemClock,
    timers: systemTimers,
  });
  await node.start();
  serveLiveDeltas(
    nats,
    nodeName,
    (request) => node.liveDeltas(request),
    (error) => log.error({ err: error }, 'a request for unflushed counts is left without an answer'),
  );
  logReady(log, { node: nodeName, shards: node.shards.length });

  return async () => {
    await node.drain();
    redis.disconnect();
    await Promise.all([nats.drain(), pool.end(), heartbeats.end()]);
  };
});
