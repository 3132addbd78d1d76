/** What must be there before any process of this release starts: fit servers, the tables, the streams, the routing table. */
import { readSettings } from '../adapters/environment/settings.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { checkNats } from '../adapters/nats/requirements.ts';
import { prepareTopology, TopologyError } from '../adapters/nats/topology.ts';
import { migrate } from '../adapters/postgres/migrate.ts';
import { checkPostgres } from '../adapters/postgres/requirements.ts';
import { checkRedis } from '../adapters/redis/requirements.ts';
import { FIRST_RULE_SET } from '../domain/ruleSet.ts';
import { CliError } from './cliError.ts';

/** Names of the migrations that were missing. May run any number of times. */
export async function prepareInstallation(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string[]> {
  const settings = readSettings(environment, [
    'natsUrl',
    'redisUrl',
    'databaseUrl',
    'shards',
    'streamReplicas',
    // Not applied here, but checked against the others (I15).
    'streamMaxAgeMs',
    'dedupHorizonMs',
    'maxEventAgeMs',
    'maxFutureSkewMs',
  ]);
  await Promise.all([
    checkNats(settings.natsUrl),
    checkRedis(settings.redisUrl),
    checkPostgres(settings.databaseUrl),
  ]);
  const applied = await migrate(settings.databaseUrl);
  const nats = await connectNats(settings.natsUrl, 'migrate');
  try {
    const { shards, streamReplicas, dedupHorizonMs, maxEventAgeMs, maxFutureSkewMs } = settings;
    const rules = { version: FIRST_RULE_SET, dedupHorizonMs, maxEventAgeMs, maxFutureSkewMs };
    await prepareTopology(nats, { shards, replicas: streamReplicas, rules });
  } catch (error) {
    if (error instanceof TopologyError) throw new CliError(error.message);
    throw error;
  } finally {
    await nats.close();
  }
  return applied;
}
