/** Reads a list of networks, as settings write it. */
import { isIP } from 'node:net';
import type { Network } from '../../domain/network.ts';

/** `10.0.0.7,192.168.0.0/16,2001:db8::/32`. undefined: some part of it is neither an address nor a network. */
export function parseNetworks(text: string): readonly Network[] | undefined {
  const networks = text.split(',').map((part) => parseNetwork(part.trim()));
  return networks.every((network) => network !== undefined) ? networks : undefined;
}

function parseNetwork(text: string): Network | undefined {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  const prefixBits = prefix === undefined ? bits : Number(prefix);
  return prefixBits <= bits ? { address, prefixBits } : undefined;
}
