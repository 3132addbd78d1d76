/** How a process of the same machine is reached, by the address on which it listens. */

/** Addresses to listen on that mean "every one of this machine"; a client needs one of them. */
const WILDCARDS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** `host` as it stands in a URL. */
export function localHost(host: string): string {
  const address = WILDCARDS[host] ?? host;
  return address.includes(':') ? `[${address}]` : address;
}

/** `host:port` for a client. */
export function localAddress(host: string, port: number): string {
  return `${localHost(host)}:${port}`;
}
