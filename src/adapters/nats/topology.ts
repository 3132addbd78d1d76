/**
 * Brings the streams up to what the settings ask for: the routing table with its first entry, a stream a shard. Runs
 * with the migrations, before any process of a release starts; may run any number of times, also side by side.
 */
import type { JetStreamManager, NatsConnection } from 'nats';
import { formatDuration } from '../../domain/duration.ts';
import type { RuleSet } from '../../domain/ruleSet.ts';
import { liftAgeLimit } from './ageLimit.ts';
import { ensureClickStreams } from './clickStreams.ts';
import { isReplicasRefusal } from './replicas.ts';
import { ensureRoutingStream, RoutingLog } from './routingLog.ts';

export interface Topology {
  readonly shards: number;
  /** On how many servers of a NATS cluster each stream is; 1 where it is not given. */
  readonly replicas?: number;
  readonly rules: RuleSet;
}

/** What the settings ask for cannot be had in this installation. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';
}

/** @throws TopologyError that names the setting, its value here and the installation's. */
export async function prepareTopology(connection: NatsConnection, topology: Topology): Promise<void> {
  const manager = await connection.jetstreamManager();
  await replicating(topology, () => ensureRoutingStream(manager, topology.replicas));
  const routing = new RoutingLog(connection.jetstream(), manager);
  await routing.read();
  if (routing.isCreated) checkFixed(routing.table.rules, routing.table.newestShards, topology);
  // A shard's stream is there before any entry leads clicks to it.
  await replicating(topology, () => ensureClickStreams(manager, topology.shards, topology.replicas));
  await liftAgeLimits(manager, topology);
  while (!routing.isCreated) {
    await routing.append({ kind: 'created', shards: topology.shards, rules: topology.rules });
  }
  while (routing.table.newestShards < topology.shards) {
    await routing.append({ kind: 'shards', shards: topology.shards, fromMs: routing.table.closedUntilMs });
  }
  checkFixed(routing.table.rules, routing.table.newestShards, topology);
}

async function replicating({ replicas }: Topology, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isReplicasRefusal(error)) throw error;
    throw new TopologyError(
      `STREAM_REPLICAS=${replicas} is more than these NATS servers can hold (${error.message}): it takes a cluster of at least as many servers with JetStream`,
    );
  }
}

function checkFixed(rules: RuleSet, shards: number, topology: Topology): void {
  if (topology.shards < shards) {
    throw new TopologyError(
      `SHARDS=${topology.shards} is less than the ${shards} streams of this installation; it may be raised, never lowered: set SHARDS=${shards}, as it was when they were made`,
    );
  }
  const fixed: [string, keyof RuleSet][] = [
    ['DEDUP_HORIZON', 'dedupHorizonMs'],
    ['MAX_EVENT_AGE', 'maxEventAgeMs'],
    ['MAX_FUTURE_SKEW', 'maxFutureSkewMs'],
  ];
  for (const [name, key] of fixed) {
    if (rules[key] === topology.rules[key]) continue;
    throw new TopologyError(
      `${name} is ${formatDuration(topology.rules[key])}, but this installation was made with ${formatDuration(rules[key])}: clicks already counted were judged by that, so it cannot change`,
    );
  }
}

/** Streams of an earlier release have a limit for good; others one that a killed archiver left. */
async function liftAgeLimits(manager: JetStreamManager, { shards }: Topology): Promise<void> {
  for (let shard = 0; shard < shards; shard++) await liftAgeLimit(manager, shard);
}
