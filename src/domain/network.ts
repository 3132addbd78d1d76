/** Network addresses as text, and networks of them. */

/** Such as 192.0.2.0/24; a single address is a network too. */
export interface Network {
  readonly address: string;
  /** How many of its first bits all of its addresses share. */
  readonly prefixBits: number;
}

/** An IPv4 address as such where it is written as one of IPv6 (`::ffff:192.0.2.1`), as sockets of both kinds write it. */
export function plainAddress(address: string): string {
  if (!address.startsWith('::')) return address;
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  return mapped ?? address;
}
