/**
 * From whom a request comes where proxies stand before the gateway: X-Forwarded-For says the address, and a header of
 * the edge the country. Anybody can send such headers, so they count only on connections of proxies that were named.
 */
import { BlockList, isIP } from 'node:net';
import { type Network, plainAddress } from '../domain/network.ts';
import { countryOf } from '../domain/place.ts';

export interface Origin {
  /** Of the one who clicked; empty: not known. */
  readonly address: string;
  /** ISO 3166-1; empty: not known. */
  readonly country: string;
}

export class ClickOrigin {
  readonly #proxies = new BlockList();
  readonly #hasProxies: boolean;
  readonly #countryHeader: string;

  /** @param countryHeader its name; empty: there is none */
  constructor(proxies: readonly Network[], countryHeader: string) {
    for (const { address, prefixBits } of proxies)
      this.#proxies.addSubnet(address, prefixBits, familyOf(address));
    this.#hasProxies = proxies.length > 0;
    this.#countryHeader = countryHeader;
  }

  /** @param peer the address at the other end of the connection; empty: not known */
  of(headers: Headers, peer: string): Origin {
    const connected = plainAddress(peer);
    if (!this.#hasProxies || !this.#isProxy(connected)) return { address: connected, country: '' };
    const country = this.#countryHeader === '' ? '' : countryOf(headers.get(this.#countryHeader) ?? '');
    return { address: this.#behind(headers.get('x-forwarded-for'), connected), country };
  }

  /**
   * Each proxy adds at the end whom it heard: the last one that is no proxy is who clicked, and what stands before may be
   * made up.
   */
  #behind(forwarded: string | null, connected: string): string {
    if (forwarded === null) return connected;
    let farthest = connected;
    for (const entry of forwarded.split(',').reverse()) {
      farthest = plainAddress(withoutPort(entry.trim()));
      if (isIP(farthest) === 0) return '';
      if (!this.#isProxy(farthest)) break;
    }
    return farthest;
  }

  #isProxy(address: string): boolean {
    return isIP(address) !== 0 && this.#proxies.check(address, familyOf(address));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** Some proxies write the port behind the address: `192.0.2.1:443`, `[2001:db8::1]:443`. */
function withoutPort(entry: string): string {
  const [, bracketed, dotted] = /^\[([^\]]*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(entry) ?? [];
  return bracketed ?? dotted ?? entry;
}
