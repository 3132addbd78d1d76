/**
 * What a gateway keeps in its spool while JetStream does not answer (I1), and how it stands in a file: a frame an
 * entry, `length (4 bytes) | crc32 of the entry (4 bytes) | entry`, numbers big-endian. A frame that a crash cut
 * short, or that does not match its checksum, ends what can be read of a file; it is never guessed.
 */

export type SpoolEntry =
  /** A whole message for a shard. It may have been sent before, so it goes again with the same bytes and id. */
  | {
      readonly kind: 'batch';
      readonly batchId: string;
      readonly shard: number;
      readonly bytes: Uint8Array;
    }
  /** Records that could not be routed yet, because `closed_until` could not be read or raised (I3). */
  | { readonly kind: 'unrouted'; readonly batchId: string; readonly records: readonly Uint8Array[] };

/** What an entry waits for: its shard's stream, or that records can be routed. */
export type SpoolLane = number | 'unrouted';

export function laneOf(entry: SpoolEntry): SpoolLane {
  return entry.kind === 'batch' ? entry.shard : entry.kind;
}

/** The first byte of an entry. Part of the stored format: never renumber. */
const KIND = { batch: 1, unrouted: 2 } as const;

const HEAD_BYTES = 8;

/** The entry's frame. */
export function encodeSpoolEntry(entry: SpoolEntry): Buffer {
  const id = Buffer.from(entry.batchId);
  const start = [Buffer.of(KIND[entry.kind], id.length), id];
  const rest =
    entry.kind === 'batch'
      ? [number32(entry.shard), entry.bytes]
      : entry.records.flatMap((record) => [number32(record.length), record]);
  const body = Buffer.concat([...start, ...rest]);
  return Buffer.concat([number32(body.length), number32(Bun.hash.crc32(body)), body]);
}

export interface SpoolContent {
  readonly entries: SpoolEntry[];
  /** How many bytes from the start on are whole entries; what follows is torn. */
  readonly soundBytes: number;
}

/** The whole entries of a file, up to the first that is torn. */
export function decodeSpool(file: Uint8Array): SpoolContent {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const entries: SpoolEntry[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    const end = at + HEAD_BYTES + bytes.readUInt32BE(at);
    const body = bytes.subarray(at + HEAD_BYTES, end);
    if (end > bytes.length || Bun.hash.crc32(body) !== bytes.readUInt32BE(at + 4)) break;
    const entry = decodeBody(body);
    if (entry === undefined) break;
    entries.push(entry);
    at = end;
  }
  return { entries, soundBytes: at };
}

/** undefined: no entry of this release; a file full of zeros has checksums that match. */
function decodeBody(body: Buffer): SpoolEntry | undefined {
  const [kind, idLength = 0] = body;
  const idEnd = 2 + idLength;
  const batchId = body.toString('utf8', 2, idEnd);
  if (kind === KIND.batch)
    return { kind: 'batch', batchId, shard: body.readUInt32BE(idEnd), bytes: body.subarray(idEnd + 4) };
  if (kind !== KIND.unrouted) return undefined;
  const records: Uint8Array[] = [];
  for (let at = idEnd; at < body.length; ) {
    const start = at + 4;
    at = start + body.readUInt32BE(at);
    records.push(body.subarray(start, at));
  }
  return { kind: 'unrouted', batchId, records };
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
