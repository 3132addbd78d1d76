/**
 * What a gateway keeps in its spool while JetStream does not answer (I1), and how it stands in a file: a frame an
 * entry, `length (4 bytes) | crc32 of the entry (4 bytes) | entry`, numbers big-endian. A frame that a crash cut
 * short, or that does not match its checksum, ends what can be read of a file; it is never guessed.
 *
 * `madeMs` is when the entry came to be, by the gateway's clock: no stream holds anything of it from before then. It is
 * not said whether an entry was sent: a drain that is killed may have sent any of them.
 */

export type SpoolEntry =
  /** A whole message for a shard. It may have been sent before, so it goes again with the same bytes and id. */
  | {
      readonly kind: 'batch';
      readonly batchId: string;
      readonly madeMs: number;
      readonly shard: number;
      readonly bytes: Uint8Array;
    }
  /** Records that could not be routed yet, because `closed_until` could not be read or raised (I3). */
  | {
      readonly kind: 'unrouted';
      readonly batchId: string;
      readonly madeMs: number;
      readonly records: readonly Uint8Array[];
    };

/** What an entry waits for: its shard's stream, or that records can be routed. */
export type SpoolLane = number | 'unrouted';

export function laneOf(entry: SpoolEntry): SpoolLane {
  return entry.kind === 'batch' ? entry.shard : entry.kind;
}

/** The first byte of an entry. Part of the stored format: never renumber. 1 and 2 had no time. */
const KIND = { batch: 3, unrouted: 4 } as const;

const HEAD_BYTES = 8;

/** The entry's frame. */
export function encodeSpoolEntry(entry: SpoolEntry): Buffer {
  const id = Buffer.from(entry.batchId);
  const start = [Buffer.of(KIND[entry.kind], id.length), id, number64(entry.madeMs)];
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
  if (kind !== KIND.batch && kind !== KIND.unrouted) return undefined;
  const idEnd = 2 + idLength;
  const batchId = body.toString('utf8', 2, idEnd);
  const madeMs = Number(body.readBigUInt64BE(idEnd));
  const timeEnd = idEnd + 8;
  if (kind === KIND.batch) {
    const bytes = body.subarray(timeEnd + 4);
    return { kind: 'batch', batchId, madeMs, shard: body.readUInt32BE(timeEnd), bytes };
  }
  const records: Uint8Array[] = [];
  for (let at = timeEnd; at < body.length; ) {
    const start = at + 4;
    at = start + body.readUInt32BE(at);
    records.push(body.subarray(start, at));
  }
  return { kind: 'unrouted', batchId, madeMs, records };
}

function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
