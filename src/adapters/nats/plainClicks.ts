/**
 * Reads batches and records as gateways write them, several times as fast as the protobuf library: a replay spends most
 * of its time there. Whatever is not plain (a longer number, a field of another type, bytes that are cut off) it leaves
 * to the library, which so decides all that could be doubted.
 */
import type { ClickBatch, DecodedRecord } from '../../domain/clickBatch.ts';
import { type ClickFacts, USER_KEY_BYTES } from '../../domain/clickRecord.ts';
import { type ClickDimensions, NO_DIMENSIONS } from '../../domain/dimensions.ts';
import { personAt } from '../../domain/people.ts';
import { UUID_BYTES } from '../../domain/uuid7.ts';
import { BATCH, CHANNELS, DELIMITED, RECORD, SIGNATURES, tag, VARINT } from './clickFields.ts';
import type { DimensionsCache, Part } from './dimensionsCache.ts';
import { TextCache } from './textCache.ts';

/** What stands in a record, sound or not. */
export type ReadFacts = { -readonly [K in keyof ClickFacts]: ClickFacts[K] | undefined } & {
  clickId: Uint8Array;
  adId: string;
  receivedMs: number;
};

const NO_BYTES = new Uint8Array(0);

export function noFacts(): ReadFacts {
  return {
    clickId: NO_BYTES,
    impressionId: undefined,
    adId: '',
    eventTimeMs: 0,
    receivedMs: 0,
    channel: undefined,
    signature: 'NOT_CHECKED',
    head: false,
    prefetch: false,
    test: false,
    userAgent: undefined,
  };
}

/** undefined: it is not plain. @param soundFacts undefined for a record that lacks what every click has */
export function readPlainBatch(
  bytes: Uint8Array,
  soundFacts: (facts: ReadFacts) => ClickFacts | undefined,
  dimensions: DimensionsCache,
): ClickBatch | undefined {
  const cursor = new Cursor(bytes, 0, bytes.length);
  const records: DecodedRecord[] = [];
  let routingSequence = 0;
  while (cursor.at < cursor.end) {
    const key = cursor.size();
    if (key === tag(BATCH.routingSequence, VARINT)) {
      routingSequence = cursor.number();
    } else if (key === tag(BATCH.records, DELIMITED)) {
      const length = cursor.size();
      const start = cursor.at;
      cursor.skip(length);
      if (!cursor.isPlain) return undefined;
      const record = new Cursor(bytes, start, start + length);
      const facts = readFacts(record);
      if (facts === undefined) return undefined;
      records.push(new PlainRecord(start, record, soundFacts(facts), dimensions));
    } else {
      return undefined;
    }
  }
  return cursor.isPlain ? { routingSequence, records } : undefined;
}

/** undefined: it is not plain. */
export function readPlainFacts(bytes: Uint8Array): ReadFacts | undefined {
  return readFacts(new Cursor(bytes, 0, bytes.length));
}

function readFacts(cursor: Cursor): ReadFacts | undefined {
  const facts = noFacts();
  while (cursor.at < cursor.end) {
    const start = cursor.at;
    switch (cursor.size()) {
      case tag(RECORD.clickId, DELIMITED):
        facts.clickId = cursor.uuid();
        break;
      case tag(RECORD.impressionId, DELIMITED):
        facts.impressionId = cursor.uuid();
        break;
      case tag(RECORD.adId, DELIMITED):
        facts.adId = cursor.text();
        break;
      case tag(RECORD.eventTimeMs, VARINT):
        facts.eventTimeMs = cursor.number();
        break;
      case tag(RECORD.receivedMs, VARINT):
        facts.receivedMs = cursor.number();
        break;
      case tag(RECORD.channel, VARINT):
        facts.channel = CHANNELS[cursor.size() - 1];
        break;
      case tag(RECORD.signature, VARINT):
        facts.signature = SIGNATURES[cursor.size()];
        break;
      case tag(RECORD.head, VARINT):
        facts.head = cursor.size() !== 0;
        break;
      case tag(RECORD.prefetch, VARINT):
        facts.prefetch = cursor.size() !== 0;
        break;
      case tag(RECORD.test, VARINT):
        facts.test = cursor.size() !== 0;
        break;
      case tag(RECORD.userAgent, DELIMITED):
        facts.userAgent = cursor.text();
        break;
      case tag(RECORD.referrer, DELIMITED):
        cursor.skipReferrer();
        break;
      case tag(RECORD.country, DELIMITED):
      case tag(RECORD.region, DELIMITED):
      case tag(RECORD.deviceType, DELIMITED):
      case tag(RECORD.os, DELIMITED):
      case tag(RECORD.browser, DELIMITED):
      case tag(RECORD.publisherId, DELIMITED):
      case tag(RECORD.placementId, DELIMITED):
      case tag(RECORD.creativeId, DELIMITED):
        cursor.skipDimension(start);
        break;
      case tag(RECORD.userKey, DELIMITED):
        cursor.skipUserKey();
        break;
      case tag(RECORD.source, DELIMITED):
      case tag(RECORD.attributes, DELIMITED):
        cursor.skip(cursor.size());
        break;
      default:
        return undefined;
    }
    if (!cursor.isPlain) return undefined;
  }
  return facts;
}

/** Its bytes are a view of the message, made only for whoever asks; and so are its dimensions and its person. */
class PlainRecord implements DecodedRecord {
  readonly facts: ClickFacts | undefined;
  /** At its end. */
  readonly #cursor: Cursor;
  readonly #start: number;
  readonly #dimensions: DimensionsCache;

  constructor(start: number, cursor: Cursor, facts: ClickFacts | undefined, dimensions: DimensionsCache) {
    this.#start = start;
    this.#cursor = cursor;
    this.facts = facts;
    this.#dimensions = dimensions;
  }

  get bytes(): Uint8Array {
    return this.#cursor.bytes.subarray(this.#start, this.#cursor.end);
  }

  get dimensions(): ClickDimensions {
    const { bytes, others, referrer } = this.#cursor;
    if (others === undefined && referrer === undefined) return NO_DIMENSIONS;
    return this.#dimensions.of(bytes, others ?? NO_PART, referrer ?? NO_PART);
  }

  get person(): bigint | undefined {
    const { bytes, userKeyAt } = this.#cursor;
    return userKeyAt === undefined ? undefined : personAt(bytes, userKeyAt);
  }
}

const NO_PART: Part = { start: 0, end: 0 };

/** Ad ids and user agents come again and again. */
const texts = new TextCache();
/** Seven bytes hold numbers below 2^49, which are exact here; four hold every key and length of a message. */
const NUMBER_BYTES_MAX = 7;
const SIZE_BYTES_MAX = 4;

/** Goes through bytes from `at` to `end`; once `isPlain` is false, what it says means nothing. */
class Cursor {
  at: number;
  readonly end: number;
  isPlain = true;
  /** From the first field of a dimension to the end of the last; the referrer is none of them. */
  others: Part | undefined;
  /** Its text. */
  referrer: Part | undefined;
  /** Where it begins; undefined: there is none. */
  userKeyAt: number | undefined;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  number(bytesMax = NUMBER_BYTES_MAX): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < bytesMax && this.at < this.end; count++) {
      const byte = this.bytes[this.at] ?? 0;
      this.at += 1;
      if (byte < 0x80) return value + byte * scale;
      value += (byte - 0x80) * scale;
      scale *= 0x80;
    }
    this.#notPlain();
    return 0;
  }

  /** A key, a length, or the value of an enumeration. */
  size(): number {
    return this.number(SIZE_BYTES_MAX);
  }

  /** A copy: views of so few bytes cost more, and would keep the message. */
  uuid(): Uint8Array {
    const start = this.#delimited();
    if (this.at - start !== UUID_BYTES) this.#notPlain();
    const uuid = new Uint8Array(UUID_BYTES);
    for (let index = 0; index < UUID_BYTES; index++) uuid[index] = this.bytes[start + index] ?? 0;
    return uuid;
  }

  text(): string {
    const start = this.#delimited();
    return this.isPlain ? texts.text(this.bytes, start, this.at) : '';
  }

  skipUserKey(): void {
    const start = this.#delimited();
    this.userKeyAt = this.at - start === USER_KEY_BYTES ? start : undefined;
  }

  skipReferrer(): void {
    const start = this.#delimited();
    this.referrer = { start, end: this.at };
  }

  /** @param start of the field */
  skipDimension(start: number): void {
    this.#delimited();
    this.others = { start: this.others?.start ?? start, end: this.at };
  }

  skip(length: number): void {
    if (length > this.end - this.at) this.#notPlain();
    else this.at += length;
  }

  /** Goes behind a value with its length before it. @returns where it begins */
  #delimited(): number {
    const length = this.size();
    const start = this.at;
    this.skip(length);
    return start;
  }

  #notPlain(): void {
    this.isPlain = false;
    this.at = this.end;
  }
}
