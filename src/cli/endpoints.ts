/** Where the processes of an installation answer, from its settings. */
import { readSettings } from '../adapters/environment/settings.ts';

export interface Endpoints {
  /** Base of click URLs, no slash at the end. */
  readonly httpBaseUrl: string;
  /** `host:port` of ingest and catalog. */
  readonly ingestAddress: string;
  /** `host:port` of the query service. */
  readonly queryAddress: string;
}

/** Addresses to listen on that mean "every one of this machine"; a client needs one of them. */
const WILDCARDS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** @throws SettingsError */
export function endpoints(environment: Readonly<Record<string, string | undefined>>): Endpoints {
  const settings = readSettings(environment, ['host', 'httpPort', 'ingestPort', 'queryPort']);
  const address = WILDCARDS[settings.host] ?? settings.host;
  const host = address.includes(':') ? `[${address}]` : address;
  return {
    httpBaseUrl: `http://${host}:${settings.httpPort}`,
    ingestAddress: `${host}:${settings.ingestPort}`,
    queryAddress: `${host}:${settings.queryPort}`,
  };
}
