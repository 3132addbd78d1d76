/**
 * Writes the record of a click (`ClickRecord`) straight from the bytes of its request, byte by byte as
 * `encodeClickRecord` writes it of what `admitClick` admits. A test holds the two against each other.
 *
 * It writes only what is right beyond doubt: a click with a field that is wrong, or that needs thought (attributes), is
 * left to the two.
 */
import { isUtf8 } from 'node:buffer';
import { USER_KEY_BYTES } from '../../domain/clickRecord.ts';
import { AD_ID_BYTES_MAX, CLICK_TEXT_BYTES_MAX } from '../../domain/limits.ts';
import type { MonthlySalt } from '../../domain/monthlySalt.ts';
import { UUID_BYTES, uuid7TimeMs } from '../../domain/uuid7.ts';
import { WrittenClick } from '../../domain/writtenClick.ts';
import { CHANNELS, DELIMITED, RECORD, tag, VARINT } from '../nats/clickFields.ts';
import { TextCache } from '../nats/textCache.ts';
import { writeVarint } from '../nats/varint.ts';
import { CLICK, type ClickSlots } from './clickSlots.ts';

/** Beyond what stands in the click and its source: two times, the user key, longer keys of fields. */
export const RECORD_BYTES_MORE_MAX = 64;

const UUID_TEXT_BYTES = 36;
/** Places of the digits of a UUID's text. */
const DIGITS = Uint8Array.from({ length: UUID_TEXT_BYTES }, (_, place) => place).filter(
  (place) => ![8, 13, 18, 23].includes(place),
);
const DASH = 0x2d;
const NO_DIGIT = 0xff;
const DIGIT_VALUES = new Uint8Array(256).fill(NO_DIGIT);
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  DIGIT_VALUES[digit.charCodeAt(0)] = value;
  DIGIT_VALUES[digit.toUpperCase().charCodeAt(0)] = value;
}

/** Texts of a click that stand in its record as they are: their fields in both, and their limits. */
const TEXTS = [
  [CLICK.referrer, RECORD.referrer, CLICK_TEXT_BYTES_MAX.referrer],
  [CLICK.country, RECORD.country, CLICK_TEXT_BYTES_MAX.country],
  [CLICK.region, RECORD.region, CLICK_TEXT_BYTES_MAX.region],
  [CLICK.deviceType, RECORD.deviceType, CLICK_TEXT_BYTES_MAX.device_type],
  [CLICK.os, RECORD.os, CLICK_TEXT_BYTES_MAX.os],
  [CLICK.browser, RECORD.browser, CLICK_TEXT_BYTES_MAX.browser],
  [CLICK.publisherId, RECORD.publisherId, CLICK_TEXT_BYTES_MAX.publisher_id],
  [CLICK.placementId, RECORD.placementId, CLICK_TEXT_BYTES_MAX.placement_id],
  [CLICK.creativeId, RECORD.creativeId, CLICK_TEXT_BYTES_MAX.creative_id],
] as const;

const ADDRESS = Uint8Array.from(Buffer.from('address\n'));
const USER = Uint8Array.from(Buffer.from('user\n'));
const LINE_BREAK = 0x0a;
/** The longest text that stands for a person. */
const PERSON_BYTES_MAX =
  ADDRESS.length +
  Math.max(CLICK_TEXT_BYTES_MAX.user_id, CLICK_TEXT_BYTES_MAX.ip + 1 + CLICK_TEXT_BYTES_MAX.user_agent);

// Scratch space for one call; everything here is synchronous.
const person = new Uint8Array(PERSON_BYTES_MAX);
/** Views of its beginning, by their lengths: each time a new one would cost as much as a part of the hash. */
const persons: Uint8Array[] = [];

const channel = CHANNELS.indexOf('GRPC') + 1;
/** Ad ids come again and again. */
const adIds = new TextCache();

export class RecordWriter {
  readonly #bytes: Buffer;
  readonly #slots: ClickSlots;
  readonly #source: Buffer;
  readonly #receivedMs: number;
  readonly #userKeySalt: MonthlySalt;
  readonly #target: Buffer;
  #at = 0;
  #isSound = true;

  /** @param slots over `bytes`, a request's @param bytesMax of all records together */
  constructor(
    bytes: Buffer,
    slots: ClickSlots,
    source: Buffer,
    receivedMs: number,
    userKeySalt: MonthlySalt,
    bytesMax: number,
  ) {
    this.#bytes = bytes;
    this.#slots = slots;
    this.#source = source;
    this.#receivedMs = receivedMs;
    this.#userKeySalt = userKeySalt;
    // Not out of a pool: what is written stays as long as its clicks are on their way.
    this.#target = Buffer.allocUnsafeSlow(bytesMax);
  }

  /** The click that the slots show; undefined: it is not sound beyond doubt. */
  write(): WrittenClick | undefined {
    const slots = this.#slots;
    if (slots.hasAttributes) return undefined;
    const start = this.#at;
    this.#isSound = true;
    const clickMs = this.#uuid(CLICK.clickId, RECORD.clickId);
    const impressionMs = this.#isEmpty(CLICK.impressionId)
      ? undefined
      : this.#uuid(CLICK.impressionId, RECORD.impressionId);
    if (!this.#isSound) return this.#undo(start);
    const adId = this.#adId();
    const eventTimeMs = slots.eventTimeMs === 0 ? clickMs : slots.eventTimeMs;
    this.#number(RECORD.eventTimeMs, eventTimeMs);
    this.#number(RECORD.receivedMs, this.#receivedMs);
    this.#number(RECORD.channel, channel);
    if (slots.test) this.#number(RECORD.test, 1);
    if (slots.starts[CLICK.userAgent] !== -1)
      this.#text(CLICK.userAgent, RECORD.userAgent, CLICK_TEXT_BYTES_MAX.user_agent);
    this.#userKey(eventTimeMs);
    for (const [field, target, bytesMax] of TEXTS)
      if (!this.#isEmpty(field)) this.#text(field, target, bytesMax);
    if (this.#source.length > 0) {
      this.#key(RECORD.source, this.#source.length);
      this.#at += this.#source.copy(this.#target, this.#at);
    }
    if (!this.#isSound) return this.#undo(start);
    const record = this.#target.subarray(start, this.#at);
    return new WrittenClick(clickMs, impressionMs, adId, this.#receivedMs, record);
  }

  #undo(start: number): undefined {
    this.#at = start;
  }

  #isEmpty(field: number): boolean {
    return this.#length(field) === 0;
  }

  #length(field: number): number {
    return (this.#slots.ends[field] ?? 0) - (this.#slots.starts[field] ?? 0);
  }

  /** A UUIDv7 in its text form. @returns the time inside it */
  #uuid(field: number, target: number): number {
    this.#key(target, UUID_BYTES);
    const isUuid =
      this.#length(field) === UUID_TEXT_BYTES && this.#digits(this.#slots.starts[field] ?? 0, this.#at);
    if (!isUuid) this.#isSound = false;
    const timeMs = isUuid ? uuid7TimeMs(this.#target, this.#at) : 0;
    this.#at += UUID_BYTES;
    return timeMs;
  }

  #digits(start: number, at: number): boolean {
    const bytes = this.#bytes;
    const target = this.#target;
    let all = 0;
    for (let index = 0; index < UUID_BYTES; index++) {
      const high = DIGIT_VALUES[bytes[start + (DIGITS[2 * index] ?? 0)] ?? 0] ?? NO_DIGIT;
      const low = DIGIT_VALUES[bytes[start + (DIGITS[2 * index + 1] ?? 0)] ?? 0] ?? NO_DIGIT;
      all |= high | low;
      target[at + index] = (high << 4) | low;
    }
    return (
      all < 16 &&
      bytes[start + 8] === DASH &&
      bytes[start + 13] === DASH &&
      bytes[start + 18] === DASH &&
      bytes[start + 23] === DASH &&
      ((target[at + 6] ?? 0) & 0xf0) === 0x70 &&
      ((target[at + 8] ?? 0) & 0xc0) === 0x80
    );
  }

  #adId(): string {
    const start = this.#slots.starts[CLICK.adId] ?? 0;
    const end = this.#slots.ends[CLICK.adId] ?? 0;
    for (let index = start; index < end; index++) {
      const byte = this.#bytes[index] ?? 0;
      if (byte < 0x20 || byte === 0x7f) this.#isSound = false;
    }
    if (start === end) this.#isSound = false;
    this.#text(CLICK.adId, RECORD.adId, AD_ID_BYTES_MAX);
    return this.#isSound ? adIds.text(this.#bytes, start, end) : '';
  }

  #text(field: number, target: number, bytesMax: number): void {
    const length = this.#length(field);
    if (length > bytesMax) this.#isSound = false;
    if (!this.#isSound) return;
    this.#key(target, length);
    this.#at = this.#copy(field, this.#target, this.#at);
  }

  /** Byte by byte: texts are short, and each is looked at anyhow. @returns where it ends */
  #copy(field: number, target: Uint8Array, targetAt: number): number {
    const bytes = this.#bytes;
    const start = this.#slots.starts[field] ?? 0;
    const end = this.#slots.ends[field] ?? 0;
    const shift = targetAt - start;
    let all = 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] ?? 0;
      all |= byte;
      target[at + shift] = byte;
    }
    // A text that is no UTF-8 would be another one in the record.
    if (all >= 0x80 && !isUtf8(bytes.subarray(start, end))) this.#isSound = false;
    return end + shift;
  }

  /** As `userKey` makes it of these fields. */
  #userKey(eventTimeMs: number): void {
    const userIdBytes = this.#length(CLICK.userId);
    const ipBytes = this.#length(CLICK.ip);
    if (userIdBytes > CLICK_TEXT_BYTES_MAX.user_id || ipBytes > CLICK_TEXT_BYTES_MAX.ip)
      this.#isSound = false;
    if (!this.#isSound || userIdBytes + ipBytes === 0) return;
    const salt = this.#userKeySalt.at(eventTimeMs);
    const hash = salt.of(userIdBytes > 0 ? this.#user() : this.#address());
    this.#key(RECORD.userKey, USER_KEY_BYTES);
    for (let index = 0; index < USER_KEY_BYTES; index++) this.#target[this.#at++] = hash[index] ?? 0;
  }

  #user(): Uint8Array {
    // The address is looked at too, as it is where the key is made of it.
    this.#copy(CLICK.ip, person, 0);
    person.set(USER);
    return personOf(this.#copy(CLICK.userId, person, USER.length));
  }

  #address(): Uint8Array {
    person.set(ADDRESS);
    const lineBreak = this.#copy(CLICK.ip, person, ADDRESS.length);
    person[lineBreak] = LINE_BREAK;
    return personOf(this.#copy(CLICK.userAgent, person, lineBreak + 1));
  }

  #key(field: number, length: number): void {
    this.#varint(tag(field, DELIMITED));
    this.#varint(length);
  }

  #number(field: number, value: number): void {
    this.#varint(tag(field, VARINT));
    this.#varint(value);
  }

  #varint(value: number): void {
    this.#at = writeVarint(this.#target, this.#at, value);
  }
}

function personOf(length: number): Uint8Array {
  persons[length] ??= person.subarray(0, length);
  return persons[length];
}
