/**
 * A judged click as a recount folds and counts it, and its bytes in the files to which a large shard is spilled: only
 * what folding, counting and the fingerprint need.
 */
import { FOLD_RECORD_BYTES } from './fold.ts';
import { CLICK_HASH_BYTES, IDENTITY_HASH_BYTES } from './identity.ts';
import type { RefusedDisposition } from './judge.ts';
import type { JudgedMessage } from './judgedMessage.ts';
import { UUID_BYTES } from './uuid7.ts';

export interface ReplayRecord {
  /** Stream time at the record's message, in the fold's seconds. */
  readonly streamSeconds: number;
  /** Hash of the identity, a character a byte. */
  readonly identity: string;
  /** The identity's hash and that of the click_id. */
  readonly click: string;
  /** undefined: its content is billable. */
  readonly refused: RefusedDisposition | undefined;
  /** First millisecond of the minute window in which the click is counted. */
  readonly minute: number;
  readonly adId: string;
  readonly clickId: Uint8Array;
}

const KEY_BYTES = IDENTITY_HASH_BYTES + CLICK_HASH_BYTES;
const REFUSED: readonly (RefusedDisposition | undefined)[] = [undefined, 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'];

/** The clicks of a message, in their order. */
export function replayRecords(message: JudgedMessage, streamSeconds: number): ReplayRecord[] {
  return message.clicks.map(({ facts, judgement, minute }, index) => {
    const offset = index * FOLD_RECORD_BYTES;
    return {
      streamSeconds,
      identity: message.foldRecords.toString('latin1', offset, offset + IDENTITY_HASH_BYTES),
      click: message.foldRecords.toString('latin1', offset, offset + KEY_BYTES),
      refused: judgement.kind === 'refused' ? judgement.disposition : undefined,
      minute,
      adId: facts.adId,
      clickId: facts.clickId,
    };
  });
}

/** Which of `partitions` parts the record is folded in: all records of an identity in the same one. */
export function partitionOf({ identity }: ReplayRecord, partitions: number): number {
  let number = 0;
  for (let index = 0; index < 4; index++) number = number * 256 + identity.charCodeAt(index);
  return number % partitions;
}

/** Where each part begins; the ad_id takes the rest. */
const AT = { length: 0, seconds: 2, key: 10, refused: 10 + KEY_BYTES, minute: 11 + KEY_BYTES } as const;
const CLICK_ID_AT = AT.minute + 8;
const AD_ID_AT = CLICK_ID_AT + UUID_BYTES;

export function encodeReplayRecord(record: ReplayRecord): Buffer {
  const adIdBytes = Buffer.byteLength(record.adId);
  const bytes = Buffer.allocUnsafe(AD_ID_AT + adIdBytes);
  bytes.writeUInt16BE(bytes.length, AT.length);
  bytes.writeDoubleBE(record.streamSeconds, AT.seconds);
  bytes.write(record.click, AT.key, 'latin1');
  bytes.writeUInt8(REFUSED.indexOf(record.refused), AT.refused);
  bytes.writeDoubleBE(record.minute, AT.minute);
  bytes.set(record.clickId, CLICK_ID_AT);
  bytes.write(record.adId, AD_ID_AT);
  return bytes;
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
      yield decode(bytes.subarray(start, end));
      start = end;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
  }

  /** @throws Error where the file ends within a record */
  end(): void {
    if (this.#rest.length > 0) throw new Error('a spilled record is cut off');
  }
}

function decode(bytes: Buffer): ReplayRecord {
  const click = bytes.toString('latin1', AT.key, AT.refused);
  return {
    streamSeconds: bytes.readDoubleBE(AT.seconds),
    identity: click.slice(0, IDENTITY_HASH_BYTES),
    click,
    refused: REFUSED[bytes.readUInt8(AT.refused)],
    minute: bytes.readDoubleBE(AT.minute),
    adId: bytes.toString('utf8', AD_ID_AT),
    // Counted before the piece is read over.
    clickId: bytes.subarray(CLICK_ID_AT, AD_ID_AT),
  };
}
