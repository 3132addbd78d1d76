/**
 * Reads requests of clicks (`BatchIngestClicksRequest`) as ad servers write them, several times as fast as the protobuf
 * library: of a plain click nothing is made but its record. What could be doubted is left to the library: the whole
 * request where its bytes are unusual, a click of it where a field of it is wrong or unusual.
 */
import type { BatchIngestClicksRequest__Output as BatchRequest } from '../../contract/generated/clickledger/v1/BatchIngestClicksRequest.ts';
import type { Click__Output as Click } from '../../contract/generated/clickledger/v1/Click.ts';
import { CLICKS_A_REQUEST_MAX, SOURCE_BYTES_MAX } from '../../domain/limits.ts';
import type { WrittenClick } from '../../domain/writtenClick.ts';
import { ClickSlots } from './clickSlots.ts';
import { RECORD_BYTES_MORE_MAX, type RecordParts, RecordWriter } from './recordWriter.ts';

/** Keys of fields 1 and 2, length-delimited: the source, and a click. */
const SOURCE_KEY = 0x0a;
const CLICK_KEY = 0x12;

export interface PlainBatchParts extends RecordParts {
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
}

/** A request, each click of it written or as the library reads it. */
export interface ReadBatch {
  readonly source: string;
  readonly clicks: readonly (WrittenClick | Click)[];
}

/**
 * undefined: the request is not plain.
 * @param decode the library's way, for a click that needs it
 */
export function readPlainBatch(
  bytes: Buffer,
  decode: (bytes: Buffer) => Pick<BatchRequest, 'clicks'>,
  parts: PlainBatchParts,
): ReadBatch | undefined {
  const layout = layoutOf(bytes);
  if (layout === undefined) return undefined;
  const { source, bounds } = layout;
  const slots = new ClickSlots(bytes);
  const bytesMax = bytes.length + (bounds.length / 3) * (source.length + RECORD_BYTES_MORE_MAX);
  const writer = new RecordWriter(bytes, slots, source, parts.clock(), parts, bytesMax);
  const clicks: (WrittenClick | Click)[] = [];
  for (let index = 0; index < bounds.length; index += 3) {
    const [field = 0, start = 0, end = 0] = [bounds[index], bounds[index + 1], bounds[index + 2]];
    if (!slots.find(start, end)) return undefined;
    const click = writer.write() ?? decode(bytes.subarray(field, end)).clicks[0];
    if (click === undefined) return undefined;
    clicks.push(click);
  }
  return { source: source.toString(), clicks };
}

/** Where each click's field begins, its value begins and ends, one after the other; undefined: it is not plain. */
function layoutOf(bytes: Buffer): { source: Buffer; bounds: readonly number[] } | undefined {
  let source = bytes.subarray(0, 0);
  const bounds: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const field = at;
    const key = bytes[at++];
    let length = 0;
    let byte = 0x80;
    for (let shift = 0; byte >= 0x80; shift += 7) {
      if (shift > 21 || at >= bytes.length) return undefined;
      byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
    }
    const start = at;
    at += length;
    if (at > bytes.length) return undefined;
    if (key === CLICK_KEY) bounds.push(field, start, at);
    else if (key === SOURCE_KEY) source = bytes.subarray(start, at);
    else return undefined;
  }
  const isPlain = bounds.length <= 3 * CLICKS_A_REQUEST_MAX && isPlainSource(source);
  return isPlain ? { source, bounds } : undefined;
}

/** In ASCII: its bytes are its text. */
function isPlainSource(source: Buffer): boolean {
  return source.length <= SOURCE_BYTES_MAX && source.every((byte) => byte < 0x80);
}
