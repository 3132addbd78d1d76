/**
 * A judged click as a recount folds and counts it, and its bytes in the files to which a large shard is spilled: only
 * what folding, counting and the fingerprint need.
 */
import type { ClickFacts } from './clickRecord.ts';
import { AD_ID_HASHED_BYTES_MAX, identityUuid } from './identity.ts';
import type { RefusedDisposition } from './judge.ts';
import type { JudgedMessage } from './judgedMessage.ts';
import { uuidHash } from './seenTimes.ts';
import { UUID_BYTES } from './uuid7.ts';

export interface ReplayRecord extends Pick<ClickFacts, 'adId' | 'clickId' | 'impressionId'> {
  /** Stream time at the record's message, in the fold's seconds. */
  readonly streamSeconds: number;
  /** undefined: its content is billable. */
  readonly refused: RefusedDisposition | undefined;
  /** First millisecond of the minute window in which the click is counted. */
  readonly minute: number;
}

const REFUSED: readonly (RefusedDisposition | undefined)[] = [undefined, 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'];

/** The clicks of a message, in their order. */
export function replayRecords(message: JudgedMessage, streamSeconds: number): ReplayRecord[] {
  return message.clicks.map(({ facts: { adId, clickId, impressionId }, judgement, minute }) => ({
    streamSeconds,
    adId,
    clickId,
    impressionId,
    refused: judgement.kind === 'refused' ? judgement.disposition : undefined,
    minute,
  }));
}

/** Which of `partitions` parts the record is folded in: all records of an identity in the same one. */
export function partitionOf(record: ReplayRecord, partitions: number): number {
  // By the hash's high end: the fold finds its entries by the low one, and would find a part of a part crowded.
  return Math.floor((uuidHash(identityUuid(record)) / 2 ** 32) * partitions);
}

/** Where each part begins; the ad_id takes the rest. */
const AT = { length: 0, seconds: 2, minute: 10, refused: 18, hasImpression: 19, clickId: 20 } as const;
const IMPRESSION_ID_AT = AT.clickId + UUID_BYTES;
const AD_ID_AT = IMPRESSION_ID_AT + UUID_BYTES;

const encoded = Buffer.alloc(AD_ID_AT + AD_ID_HASHED_BYTES_MAX);

/** The record's bytes, good until the next call. */
export function encodeReplayRecord(record: ReplayRecord): Buffer {
  const { adId, clickId, impressionId, streamSeconds, minute, refused } = record;
  const length = AD_ID_AT + encoded.write(adId, AD_ID_AT);
  encoded.writeUInt16BE(length, AT.length);
  encoded.writeDoubleBE(streamSeconds, AT.seconds);
  encoded.writeDoubleBE(minute, AT.minute);
  encoded.writeUInt8(REFUSED.indexOf(refused), AT.refused);
  encoded.writeUInt8(impressionId === undefined ? 0 : 1, AT.hasImpression);
  encoded.set(clickId, AT.clickId);
  if (impressionId !== undefined) encoded.set(impressionId, IMPRESSION_ID_AT);
  return encoded.subarray(0, length);
}

/** Reads records out of a file that comes in pieces of any length. */
export class ReplayRecordDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** The records that are complete with this piece. */
  *push(piece: Buffer): Generator<ReplayRecord> {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let start = 0;
    while (bytes.length - start >= AD_ID_AT) {
      const end = start + bytes.readUInt16BE(start);
      if (end > bytes.length) break;
      yield decode(bytes, start, end);
      start = end;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
  }

  /** @throws Error where the file ends within a record */
  end(): void {
    if (this.#rest.length > 0) throw new Error('a spilled record is cut off');
  }
}

function decode(bytes: Buffer, start: number, end: number): ReplayRecord {
  return {
    streamSeconds: bytes.readDoubleBE(start + AT.seconds),
    minute: bytes.readDoubleBE(start + AT.minute),
    refused: REFUSED[bytes.readUInt8(start + AT.refused)],
    clickId: uuidAt(bytes, start + AT.clickId),
    impressionId:
      bytes.readUInt8(start + AT.hasImpression) === 0 ? undefined : uuidAt(bytes, start + IMPRESSION_ID_AT),
    adId: bytes.toString('utf8', start + AD_ID_AT, end),
  };
}

/** A copy: the piece is read over. */
function uuidAt(bytes: Uint8Array, at: number): Uint8Array {
  const uuid = new Uint8Array(UUID_BYTES);
  // Of so few bytes a loop copies faster than a view can be made.
  for (let index = 0; index < UUID_BYTES; index++) uuid[index] = bytes[at + index] ?? 0;
  return uuid;
}
