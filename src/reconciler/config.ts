/** The settings of the reconciler. */
import { readSettings } from '../adapters/environment/settings.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  return readSettings(environment, [
    'natsUrl',
    'databaseUrl',
    'host',
    'auditPort',
    'reconcilerMetricsPort',
    'reconcileIntervalMs',
    'settleGraceMs',
    'logLevel',
  ]);
}
