/** The settings of the query service. */
import { readSettings } from '../adapters/environment/settings.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  return readSettings(environment, [
    'natsUrl',
    'databaseUrl',
    'host',
    'queryPort',
    'webPort',
    'queryMetricsPort',
    'cacheRedisUrl',
    'auditPort',
    'liveTimeoutMs',
    'logLevel',
  ]);
}
