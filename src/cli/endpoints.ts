/** Where the processes of an installation answer, from its settings. */
import { localAddress, localHost } from '../adapters/environment/localAddress.ts';
import { readSettings } from '../adapters/environment/settings.ts';

export interface Endpoints {
  /** Base of click URLs, no slash at the end. */
  readonly httpBaseUrl: string;
  /** `host:port` of ingest and catalog. */
  readonly ingestAddress: string;
  /** `host:port` of the query service. */
  readonly queryAddress: string;
}

/** @throws SettingsError */
export function endpoints(environment: Readonly<Record<string, string | undefined>>): Endpoints {
  const settings = readSettings(environment, ['host', 'httpPort', 'ingestPort', 'queryPort']);
  return {
    httpBaseUrl: `http://${localHost(settings.host)}:${settings.httpPort}`,
    ingestAddress: localAddress(settings.host, settings.ingestPort),
    queryAddress: localAddress(settings.host, settings.queryPort),
  };
}
