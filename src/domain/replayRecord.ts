/**
 * A judged click as a recount folds and counts it, and its bytes in the files to which a large shard is spilled: only
 * what folding, counting and the fingerprint need.
 */
import type { ClickFacts } from './clickRecord.ts';
import { type ClickDimensions, DIMENSIONS, NO_DIMENSIONS } from './dimensions.ts';
import { AD_ID_HASHED_BYTES_MAX, identityUuid } from './identity.ts';
import type { RefusedDisposition } from './judge.ts';
import type { JudgedMessage } from './judgedMessage.ts';
import { CLICK_TEXT_BYTES_MAX } from './limits.ts';
import { REFERRER_DOMAIN_BYTES_MAX } from './referrerDomain.ts';
import { uuidHash } from './seenTimes.ts';
import { UUID_BYTES } from './uuid7.ts';

export interface ReplayRecord extends Pick<ClickFacts, 'adId' | 'clickId' | 'impressionId'> {
  /** Stream time at the record's message, in the fold's seconds. */
  readonly streamSeconds: number;
  /** undefined: its content is billable. */
  readonly refused: RefusedDisposition | undefined;
  /** First millisecond of the minute window in which the click is counted. */
  readonly minute: number;
  /** NO_DIMENSIONS also where nobody asked. */
  readonly dimensions: ClickDimensions;
}

const REFUSED: readonly (RefusedDisposition | undefined)[] = [undefined, 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'];

/** The clicks of a message, in their order. @param withDimensions reading these costs as much as the rest of a record */
export function replayRecords(
  message: JudgedMessage,
  streamSeconds: number,
  withDimensions: boolean,
): ReplayRecord[] {
  return message.clicks.map(({ facts: { adId, clickId, impressionId }, record, judgement, minute }) => ({
    streamSeconds,
    adId,
    clickId,
    impressionId,
    refused: judgement.kind === 'refused' ? judgement.disposition : undefined,
    minute,
    dimensions: withDimensions ? record.dimensions : NO_DIMENSIONS,
  }));
}

/** Which of `partitions` parts the record is folded in: all records of an identity in the same one. */
export function partitionOf(record: ReplayRecord, partitions: number): number {
  // By the hash's high end: the fold finds its entries by the low one, and would find a part of a part crowded.
  return Math.floor((uuidHash(identityUuid(record)) / 2 ** 32) * partitions);
}

/** Where each part begins; texts take the rest: the ad_id and, where some are known, the dimensions. */
const AT = { length: 0, seconds: 2, minute: 10, refused: 18, hasImpression: 19, clickId: 20 } as const;
const IMPRESSION_ID_AT = AT.clickId + UUID_BYTES;
const TEXTS_AT = IMPRESSION_ID_AT + UUID_BYTES;
/** Stands between texts: none of them holds one (I11: what cannot be stored was made storable where it was read). */
const NUL = '\0';

const DIMENSIONS_BYTES_MAX = DIMENSIONS.reduce(
  (sum, name) => sum + (name === 'referrer_domain' ? REFERRER_DOMAIN_BYTES_MAX : CLICK_TEXT_BYTES_MAX[name]),
  0,
);
const encoded = Buffer.alloc(TEXTS_AT + AD_ID_HASHED_BYTES_MAX + DIMENSIONS_BYTES_MAX + DIMENSIONS.length);

/** The record's bytes, good until the next call. */
export function encodeReplayRecord(record: ReplayRecord): Buffer {
  const { adId, clickId, impressionId, streamSeconds, minute, refused, dimensions } = record;
  const length = TEXTS_AT + encoded.write(textsOf(adId, dimensions), TEXTS_AT);
  encoded.writeUInt16BE(length, AT.length);
  encoded.writeDoubleBE(streamSeconds, AT.seconds);
  encoded.writeDoubleBE(minute, AT.minute);
  encoded.writeUInt8(REFUSED.indexOf(refused), AT.refused);
  encoded.writeUInt8(impressionId === undefined ? 0 : 1, AT.hasImpression);
  encoded.set(clickId, AT.clickId);
  if (impressionId !== undefined) encoded.set(impressionId, IMPRESSION_ID_AT);
  return encoded.subarray(0, length);
}

function textsOf(adId: string, dimensions: ClickDimensions): string {
  if (dimensions === NO_DIMENSIONS) return adId;
  return [adId, ...DIMENSIONS.map((dimension) => dimensions[dimension])].join(NUL);
}

/** Combinations of values that are kept (I14); beyond, all are made anew. */
const DIMENSIONS_KNOWN_MAX = 10_000;

/** Reads records out of a file that comes in pieces of any length. */
export class ReplayRecordDecoder {
  readonly #dimensions = new Map<string, ClickDimensions>();
  #rest: Buffer = Buffer.alloc(0);

  /** The records that are complete with this piece. */
  *push(piece: Buffer): Generator<ReplayRecord> {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let start = 0;
    while (bytes.length - start >= TEXTS_AT) {
      const end = start + bytes.readUInt16BE(start);
      if (end > bytes.length) break;
      yield this.#decode(bytes, start, end);
      start = end;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
  }

  /** @throws Error where the file ends within a record */
  end(): void {
    if (this.#rest.length > 0) throw new Error('a spilled record is cut off');
  }

  #decode(bytes: Buffer, start: number, end: number): ReplayRecord {
    const texts = bytes.toString('utf8', start + TEXTS_AT, end);
    const adIdEnd = texts.indexOf(NUL);
    return {
      streamSeconds: bytes.readDoubleBE(start + AT.seconds),
      minute: bytes.readDoubleBE(start + AT.minute),
      refused: REFUSED[bytes.readUInt8(start + AT.refused)],
      clickId: uuidAt(bytes, start + AT.clickId),
      impressionId:
        bytes.readUInt8(start + AT.hasImpression) === 0 ? undefined : uuidAt(bytes, start + IMPRESSION_ID_AT),
      adId: adIdEnd < 0 ? texts : texts.slice(0, adIdEnd),
      dimensions: adIdEnd < 0 ? NO_DIMENSIONS : this.#dimensionsOf(texts.slice(adIdEnd + 1)),
    };
  }

  /** The same object for the same values, because clicks are counted by it. */
  #dimensionsOf(texts: string): ClickDimensions {
    const known = this.#dimensions.get(texts);
    if (known !== undefined) return known;
    const values = texts.split(NUL);
    const dimensions = Object.fromEntries(
      DIMENSIONS.map((dimension, index) => [dimension, values[index] ?? '']),
    ) as ClickDimensions;
    if (this.#dimensions.size >= DIMENSIONS_KNOWN_MAX) this.#dimensions.clear();
    this.#dimensions.set(texts, dimensions);
    return dimensions;
  }
}

/** A copy: the piece is read over. */
function uuidAt(bytes: Uint8Array, at: number): Uint8Array {
  const uuid = new Uint8Array(UUID_BYTES);
  // Of so few bytes a loop copies faster than a view can be made.
  for (let index = 0; index < UUID_BYTES; index++) uuid[index] = bytes[at + index] ?? 0;
  return uuid;
}
