/** The settings of the actors process. */
import { readSettings } from '../adapters/environment/settings.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  return readSettings(environment, [
    'natsUrl',
    'redisUrl',
    'databaseUrl',
    'nodeName',
    'flushIntervalMs',
    'heartbeatMs',
    'leaseMs',
    'logLevel',
  ]);
}
