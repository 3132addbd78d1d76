/** The settings of the gateway. */
import { readSettings, SettingsError } from '../adapters/environment/settings.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  const settings = readSettings(environment, [
    'natsUrl',
    'databaseUrl',
    'host',
    'httpPort',
    'ingestPort',
    'sharesPorts',
    'signingKeys',
    'userKeySalt',
    'trustedProxies',
    'countryHeader',
    'geoFile',
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
  if (settings.countryHeader !== '' && settings.trustedProxies.length === 0) {
    throw new SettingsError(
      `CLICKLEDGER_COUNTRY_HEADER=${settings.countryHeader} needs CLICKLEDGER_TRUSTED_PROXIES, which is none: anybody could send that header`,
    );
  }
  return settings;
}
