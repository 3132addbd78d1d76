/**
 * Writes small files in MaxMind's format, version 2.0 (https://maxmind.github.io/MaxMind-DB/): a binary tree over the bits
 * of addresses, then the entries, then what the file says of itself.
 */

type Value = string | number | readonly Value[] | { readonly [key: string]: Value };

const RECORD_BYTES = 4;
const METADATA_MARK = Buffer.from('abcdef4d61784d696e642e636f6d', 'hex');
const SEPARATOR = Buffer.alloc(16);
const MADE_SECONDS = 1_750_000_000;

/** A node, or an entry's number. */
interface Node {
  readonly branches: [Node | number | undefined, Node | number | undefined];
}

/** @param networks such as `['203.0.113.0/24', { country: { iso_code: 'NP' } }]`, none of which holds another */
export function mmdbOf(
  networks: readonly (readonly [network: string, entry: Value])[],
  { ipVersion = 6, type = 'Test-Country' }: { ipVersion?: 4 | 6; type?: string } = {},
): Buffer {
  const root: Node = { branches: [undefined, undefined] };
  for (const [index, [network]] of networks.entries()) plant(root, bitsOf(network, ipVersion), index);
  const nodes = nodesBelow(root);
  const entries = networks.map(([, entry]) => encode(entry));
  let offset = 0;
  const offsets = entries.map(({ length }) => {
    const start = offset;
    offset += length;
    return start;
  });
  const tree = Buffer.alloc(nodes.length * 2 * RECORD_BYTES);
  for (const [number, { branches }] of nodes.entries()) {
    for (const [side, branch] of branches.entries()) {
      const record =
        branch === undefined
          ? nodes.length
          : typeof branch === 'number'
            ? nodes.length + SEPARATOR.length + (offsets[branch] ?? 0)
            : nodes.indexOf(branch);
      tree.writeUInt32BE(record, (2 * number + side) * RECORD_BYTES);
    }
  }
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: MADE_SECONDS,
    database_type: type,
    description: {},
    ip_version: ipVersion,
    languages: [],
    node_count: nodes.length,
    record_size: 8 * RECORD_BYTES,
  });
  return Buffer.concat([tree, SEPARATOR, ...entries, METADATA_MARK, metadata]);
}

/** IPv4 stands in a tree of IPv6 behind 96 zeros. */
function bitsOf(network: string, ipVersion: 4 | 6): number[] {
  const [address = '', prefix = '0'] = network.split('/');
  const isShort = !address.includes(':');
  const bytes = isShort ? address.split('.').map(Number) : bytesOfLong(address);
  const bits = bytes
    .flatMap((byte) => [...byte.toString(2).padStart(8, '0')].map(Number))
    .slice(0, Number(prefix));
  return isShort && ipVersion === 6 ? [...Array<number>(96).fill(0), ...bits] : bits;
}

function bytesOfLong(address: string): number[] {
  const [left = '', right = ''] = address.split('::');
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(left), groups(right)];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}

function plant(root: Node, bits: readonly number[], entry: number): void {
  let node = root;
  for (const [depth, bit] of bits.entries()) {
    const isLast = depth === bits.length - 1;
    const next = node.branches[bit] ?? (isLast ? entry : { branches: [undefined, undefined] });
    node.branches[bit] = next;
    if (typeof next !== 'number') node = next as Node;
  }
}

function nodesBelow(root: Node): Node[] {
  const nodes = [root];
  for (const { branches } of nodes) {
    for (const branch of branches) if (typeof branch === 'object') nodes.push(branch);
  }
  return nodes;
}

function encode(value: Value): Buffer {
  if (typeof value === 'string') return typed(2, Buffer.byteLength(value), Buffer.from(value));
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return typed(6, bytes.length, bytes);
  }
  if (Array.isArray(value)) return typed(11, value.length, ...value.map(encode));
  const pairs = Object.entries(value);
  return typed(7, pairs.length, ...pairs.flatMap(([key, one]) => [encode(key), encode(one as Value)]));
}

/** Sizes above 28 would need bytes of their own: no test has any. */
function typed(type: number, size: number, ...content: readonly Buffer[]): Buffer {
  if (size > 28) throw new Error(`${size} is too long for this writer`);
  const head = type > 7 ? [size, type - 7] : [(type << 5) | size];
  return Buffer.concat([Buffer.from(head), ...content]);
}
