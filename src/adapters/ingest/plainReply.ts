/**
 * Writes what became of a batch (`BatchIngestClicksResponse`) byte by byte as the protobuf library does, without the
 * objects that it makes on its way. A test holds the two against each other.
 */
import type { BatchIngestClicksResponse as BatchResponse } from '../../contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { IngestResult } from '../../contract/generated/clickledger/v1/IngestResult.ts';
import type { Receipt } from '../../contract/generated/clickledger/v1/Receipt.ts';
import { writeVarint } from '../nats/varint.ts';

/** Keys of fields in the order of their numbers; all of them are one byte. */
const RESULTS = 0x0a;
const STATUS = 0x08;
const REASON = 0x12;
const RECEIPT = 0x1a;
const SHARD = 0x08;
const INCARNATION = 0x12;
const SEQUENCE = 0x18;
const INDEX = 0x20;

const STATUSES = { ACCEPTED: 1, REJECTED: 2 } as const;
/** What a result may take beside its texts. */
const RESULT_BYTES_MAX = 48;
const UTF8_BYTES_MAX = 3;

export function writePlainReply({ results }: BatchResponse): Buffer {
  const writer = new ReplyWriter(results ?? []);
  return writer.write();
}

class ReplyWriter {
  readonly #results: readonly IngestResult[];
  readonly #target: Buffer;
  #at = 0;
  /** The incarnation of the last receipt: the next one has it as a rule. */
  #incarnation = '';
  #incarnationBytes = Buffer.alloc(0);

  constructor(results: readonly IngestResult[]) {
    this.#results = results;
    let bytesMax = 0;
    for (const { reason, receipt } of results) {
      const texts = (reason?.length ?? 0) + (receipt?.stream_incarnation?.length ?? 0);
      bytesMax += RESULT_BYTES_MAX + UTF8_BYTES_MAX * texts;
    }
    this.#target = Buffer.allocUnsafeSlow(bytesMax);
  }

  write(): Buffer {
    for (const { status, reason, receipt } of this.#results) {
      const reasonBytes = reason === undefined ? undefined : Buffer.from(reason);
      const receiptBytes = receipt ? this.#receiptBytes(receipt) : 0;
      this.#byte(RESULTS);
      this.#varint(
        2 +
          (reasonBytes ? 1 + varintBytes(reasonBytes.length) + reasonBytes.length : 0) +
          (receipt ? 1 + varintBytes(receiptBytes) + receiptBytes : 0),
      );
      this.#byte(STATUS);
      this.#byte(STATUSES[status as keyof typeof STATUSES]);
      if (reasonBytes) this.#text(REASON, reasonBytes);
      if (receipt) this.#receipt(receipt, receiptBytes);
    }
    return this.#target.subarray(0, this.#at);
  }

  #receiptBytes({ shard = 0, stream_incarnation = '', stream_sequence = 0, index = 0 }: Receipt): number {
    if (stream_incarnation !== this.#incarnation) {
      this.#incarnation = stream_incarnation;
      this.#incarnationBytes = Buffer.from(stream_incarnation);
    }
    const { length } = this.#incarnationBytes;
    const numbers = varintBytes(shard) + varintBytes(Number(stream_sequence)) + varintBytes(index);
    return 4 + numbers + varintBytes(length) + length;
  }

  #receipt({ shard = 0, stream_sequence = 0, index = 0 }: Receipt, bytes: number): void {
    this.#byte(RECEIPT);
    this.#varint(bytes);
    this.#byte(SHARD);
    this.#varint(shard);
    this.#text(INCARNATION, this.#incarnationBytes);
    this.#byte(SEQUENCE);
    this.#varint(Number(stream_sequence));
    this.#byte(INDEX);
    this.#varint(index);
  }

  #text(key: number, bytes: Buffer): void {
    this.#byte(key);
    this.#varint(bytes.length);
    this.#at += bytes.copy(this.#target, this.#at);
  }

  #byte(value: number): void {
    this.#target[this.#at++] = value;
  }

  #varint(value: number): void {
    this.#at = writeVarint(this.#target, this.#at, value);
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}
