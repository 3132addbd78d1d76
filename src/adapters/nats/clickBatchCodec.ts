/**
 * Writes and reads the messages of a shard's stream: `ClickBatch` and `ClickRecord` of proto/clickledger/v1/
 * click.proto, by hand over the protobuf library's writer and reader, because the hot path needs only some fields
 * and no object that it does not use. A test holds it against the loaded contract.
 */
import protobuf from 'protobufjs/minimal.js';
import type { ClickBatch, DecodedRecord } from '../../domain/clickBatch.ts';
import {
  type ClickContext,
  type ClickFacts,
  type ClickRecord,
  EMPTY_CONTEXT,
} from '../../domain/clickRecord.ts';
import { dimensionsOf, NO_DIMENSIONS } from '../../domain/dimensions.ts';
import { AD_ID_HASHED_BYTES_MAX } from '../../domain/identity.ts';
import { fits } from '../../domain/limits.ts';
import { personOf } from '../../domain/people.ts';
import { isUuid7 } from '../../domain/uuid7.ts';
import { BATCH, CHANNELS, DELIMITED, RECORD, SIGNATURES, tag, VARINT } from './clickFields.ts';
import { DimensionsCache } from './dimensionsCache.ts';
import { noFacts, type ReadFacts, readPlainBatch, readPlainFacts } from './plainClicks.ts';
import { writeVarint } from './varint.ts';

const { Reader, Writer } = protobuf;

/** One record's bytes, as they stand inside a batch. */
export function encodeClickRecord(record: ClickRecord): Uint8Array {
  const writer = Writer.create();
  writer.uint32(tag(RECORD.clickId, DELIMITED)).bytes(record.clickId);
  if (record.impressionId !== undefined)
    writer.uint32(tag(RECORD.impressionId, DELIMITED)).bytes(record.impressionId);
  writer.uint32(tag(RECORD.adId, DELIMITED)).string(record.adId);
  writer.uint32(tag(RECORD.eventTimeMs, VARINT)).int64(record.eventTimeMs);
  writer.uint32(tag(RECORD.receivedMs, VARINT)).int64(record.receivedMs);
  writer.uint32(tag(RECORD.channel, VARINT)).uint32(CHANNELS.indexOf(record.channel) + 1);
  const signature = SIGNATURES.indexOf(record.signature);
  if (signature > 0) writer.uint32(tag(RECORD.signature, VARINT)).uint32(signature);
  if (record.head) writer.uint32(tag(RECORD.head, VARINT)).bool(true);
  if (record.prefetch) writer.uint32(tag(RECORD.prefetch, VARINT)).bool(true);
  if (record.test) writer.uint32(tag(RECORD.test, VARINT)).bool(true);
  if (record.userAgent !== undefined)
    writer.uint32(tag(RECORD.userAgent, DELIMITED)).string(record.userAgent);
  if (record.userKey.length > 0) writer.uint32(tag(RECORD.userKey, DELIMITED)).bytes(record.userKey);
  writeContext(writer, record);
  return writer.finish();
}

function writeContext(writer: protobuf.Writer, record: ClickRecord): void {
  const text = (field: number, value: string) => {
    if (value !== '') writer.uint32(tag(field, DELIMITED)).string(value);
  };
  text(RECORD.referrer, record.referrer);
  text(RECORD.country, record.country);
  text(RECORD.region, record.region);
  text(RECORD.deviceType, record.deviceType);
  text(RECORD.os, record.os);
  text(RECORD.browser, record.browser);
  text(RECORD.publisherId, record.publisherId);
  text(RECORD.placementId, record.placementId);
  text(RECORD.creativeId, record.creativeId);
  text(RECORD.source, record.source);
  for (const [key, value] of Object.entries(record.attributes)) {
    writer.uint32(tag(RECORD.attributes, DELIMITED)).fork();
    writer.uint32(tag(1, DELIMITED)).string(key).uint32(tag(2, DELIMITED)).string(value).ldelim();
  }
}

/** Before the records: a key and a number. Before each: a key and a length. */
const BATCH_HEAD_BYTES_MAX = 11;
const RECORD_HEAD_BYTES_MAX = 6;

/** A message's bytes, of the bytes of its records: the library's writer costs more than copying them. */
export function encodeClickBatch(routingSequence: number, records: readonly Uint8Array[]): Uint8Array {
  let bytesMax = BATCH_HEAD_BYTES_MAX;
  for (const record of records) bytesMax += RECORD_HEAD_BYTES_MAX + record.length;
  const bytes = Buffer.allocUnsafe(bytesMax);
  bytes[0] = tag(BATCH.routingSequence, VARINT);
  let at = writeVarint(bytes, 1, routingSequence);
  for (const record of records) {
    bytes[at] = tag(BATCH.records, DELIMITED);
    at = writeVarint(bytes, at + 1, record.length);
    bytes.set(record, at);
    at += record.length;
  }
  return bytes.subarray(0, at);
}

/** undefined: the bytes are no ClickBatch. */
export function decodeClickBatch(bytes: Uint8Array): ClickBatch | undefined {
  try {
    return readPlainBatch(bytes, soundFacts, dimensions) ?? readBatch(bytes);
  } catch {
    return undefined;
  }
}

function readBatch(bytes: Uint8Array): ClickBatch {
  const reader = readerOf(bytes);
  let routingSequence = 0;
  const records: DecodedRecord[] = [];
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    if (key === tag(BATCH.routingSequence, VARINT)) {
      routingSequence = toNumber(reader.uint64());
    } else if (key === tag(BATCH.records, DELIMITED)) {
      const record = reader.bytes();
      const facts = decodeClickFacts(record);
      records.push({ bytes: record, facts, ...(facts === undefined ? NOTHING_ELSE : readRest(record)) });
    } else {
      reader.skipType(key & 7);
    }
  }
  return { routingSequence, records };
}

/** undefined: the record cannot be read, or lacks what every click has. */
export function decodeClickFacts(bytes: Uint8Array): ClickFacts | undefined {
  try {
    return soundFacts(readPlainFacts(bytes) ?? readFacts(bytes));
  } catch {
    return undefined;
  }
}

function soundFacts(facts: ReadFacts): ClickFacts | undefined {
  const sound =
    isUuid7(facts.clickId) &&
    (facts.impressionId === undefined || isUuid7(facts.impressionId)) &&
    isAdId(facts.adId) &&
    isTime(facts.receivedMs) &&
    facts.channel !== undefined &&
    facts.signature !== undefined;
  return sound ? (facts as ClickFacts) : undefined;
}

/** Before the year 10000: windows are booked by it, and partitions named. */
const RECEIVED_BEFORE_MS = Date.UTC(10_000, 0);

function isTime(ms: number): boolean {
  return ms > 0 && ms < RECEIVED_BEFORE_MS;
}

/** PostgreSQL stores no NUL in a text. */
function isAdId(text: string): boolean {
  return text !== '' && !text.includes('\0') && fits(text, AD_ID_HASHED_BYTES_MAX);
}

/** Any record, as the protobuf library reads it. */
function readFacts(bytes: Uint8Array): ReadFacts {
  const facts = noFacts();
  const reader = readerOf(bytes);
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    switch (key >>> 3) {
      case RECORD.clickId:
        facts.clickId = reader.bytes();
        break;
      case RECORD.impressionId:
        facts.impressionId = reader.bytes();
        break;
      case RECORD.adId:
        facts.adId = readText(reader);
        break;
      case RECORD.eventTimeMs:
        facts.eventTimeMs = toNumber(reader.int64());
        break;
      case RECORD.receivedMs:
        facts.receivedMs = toNumber(reader.int64());
        break;
      case RECORD.channel:
        facts.channel = CHANNELS[reader.uint32() - 1];
        break;
      case RECORD.signature:
        facts.signature = SIGNATURES[reader.uint32()];
        break;
      case RECORD.head:
        facts.head = reader.bool();
        break;
      case RECORD.prefetch:
        facts.prefetch = reader.bool();
        break;
      case RECORD.test:
        facts.test = reader.bool();
        break;
      case RECORD.userAgent:
        facts.userAgent = readText(reader);
        break;
      default:
        reader.skipType(key & 7);
    }
  }
  return facts;
}

/** A record with all that stands in it; undefined: as of `decodeClickFacts`. */
export function decodeClickRecord(bytes: Uint8Array): ClickRecord | undefined {
  const facts = decodeClickFacts(bytes);
  if (facts === undefined) return undefined;
  try {
    return { ...facts, ...readContext(bytes) };
  } catch {
    // The click counts all the same.
    return { ...facts, ...EMPTY_CONTEXT };
  }
}

type RestOfRecord = Pick<DecodedRecord, 'dimensions' | 'person'>;

const NOTHING_ELSE: RestOfRecord = Object.freeze({ dimensions: NO_DIMENSIONS, person: undefined });

/** Of a record whose facts could be read. */
function readRest(bytes: Uint8Array): RestOfRecord {
  try {
    const context = readContext(bytes);
    return { dimensions: dimensionsOf(context), person: personOf(context.userKey) };
  } catch {
    // The click counts all the same.
    return NOTHING_ELSE;
  }
}

const dimensions = new DimensionsCache((bytes) => readRest(bytes).dimensions);

const CONTEXT_TEXTS: Readonly<Record<number, keyof ClickContext>> = {
  [RECORD.referrer]: 'referrer',
  [RECORD.country]: 'country',
  [RECORD.region]: 'region',
  [RECORD.deviceType]: 'deviceType',
  [RECORD.os]: 'os',
  [RECORD.browser]: 'browser',
  [RECORD.publisherId]: 'publisherId',
  [RECORD.placementId]: 'placementId',
  [RECORD.creativeId]: 'creativeId',
  [RECORD.source]: 'source',
};

/** @param bytes of a record whose facts could be read */
function readContext(bytes: Uint8Array): ClickContext {
  const texts: Partial<Record<keyof ClickContext, string>> = {};
  const attributes: [string, string][] = [];
  let { userKey } = EMPTY_CONTEXT;
  const reader = readerOf(bytes);
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    const field = key >>> 3;
    const name = CONTEXT_TEXTS[field];
    // A field of another kind than the contract's is somebody else's.
    if ((key & 7) !== DELIMITED) reader.skipType(key & 7);
    else if (name !== undefined) texts[name] = reader.string();
    else if (field === RECORD.userKey) userKey = reader.bytes();
    else if (field === RECORD.attributes) attributes.push(readAttribute(reader.bytes()));
    else reader.skipType(DELIMITED);
  }
  return { ...EMPTY_CONTEXT, ...texts, userKey, attributes: Object.fromEntries(attributes) };
}

function readAttribute(bytes: Uint8Array): [key: string, value: string] {
  const pair: [string, string] = ['', ''];
  const reader = readerOf(bytes);
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    const place = (key >>> 3) - 1;
    if ((key & 7) === DELIMITED && (place === 0 || place === 1)) pair[place] = reader.string();
    else reader.skipType(key & 7);
  }
  return pair;
}

/** One reader for all bytes: the library reads the texts of a Buffer and of a Uint8Array by rules that differ. */
function readerOf(bytes: Uint8Array): protobuf.Reader {
  return Reader.create(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** A text that is cut off is none; the library's reader would take what is left of it for the whole. */
function readText(reader: protobuf.Reader): string {
  const start = reader.pos;
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw new RangeError('a text is cut off');
  reader.pos = start;
  return reader.string();
}

/** The reader gives 64-bit numbers as Long objects where that library is there; times fit 2^53. */
function toNumber(value: unknown): number {
  return typeof value === 'number' ? value : (value as { toNumber(): number }).toNumber();
}
