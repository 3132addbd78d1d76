/** The settings of the gateway. */
import { readSettings } from '../adapters/environment/settings.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  return readSettings(environment, [
    'natsUrl',
    'databaseUrl',
    'host',
    'httpPort',
    'ingestPort',
    'sharesPorts',
    'signingKeys',
    'userKeySalt',
    'clickUrlTtlMs',
    'dedupHorizonMs',
    'maxFutureSkewMs',
    'publishTimeoutMs',
    'hotAdRate',
    'hotAdCalmMs',
    'spoolDirectory',
    'spoolBytesMax',
    'httpTimeoutMs',
    'logLevel',
  ]);
}
