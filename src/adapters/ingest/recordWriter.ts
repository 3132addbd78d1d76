/**
 * Writes the record of a click (`ClickRecord`) straight from the bytes of its request, byte by byte as
 * `encodeClickRecord` writes it of what `admitClick` admits. A test holds the two against each other.
 *
 * It writes only what is right beyond doubt: a click with a field that is wrong, or that needs thought (attributes), is
 * left to the two.
 */
import { isUtf8 } from 'node:buffer';
import { USER_KEY_BYTES } from '../../domain/clickRecord.ts';
import type { FactFinder } from '../../domain/factFinder.ts';
import { AD_ID_BYTES_MAX, CLICK_TEXT_BYTES_MAX } from '../../domain/limits.ts';
import type { MonthlySalt } from '../../domain/monthlySalt.ts';
import { NOWHERE, type Place } from '../../domain/place.ts';
import { NO_USER_AGENT, type UserAgentFacts } from '../../domain/userAgentFacts.ts';
import { UUID_BYTES, uuid7TimeMs } from '../../domain/uuid7.ts';
import { WrittenClick } from '../../domain/writtenClick.ts';
import type { BytesCache } from '../nats/bytesCache.ts';
import { CHANNELS, DELIMITED, RECORD, tag, VARINT } from '../nats/clickFields.ts';
import { TextCache } from '../nats/textCache.ts';
import { writeVarint } from '../nats/varint.ts';
import { CLICK, type ClickSlots } from './clickSlots.ts';

export interface RecordParts {
  readonly userKeySalt: MonthlySalt;
  readonly finder: FactFinder;
  /** What the finder finds in a user agent. */
  readonly userAgents: BytesCache<UserAgentFacts>;
}

/** Beyond what stands in the click and its source: two times, the user key, longer keys of fields, what is found. */
export const RECORD_BYTES_MORE_MAX = 160;

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
const REFERRER = [CLICK.referrer, RECORD.referrer, CLICK_TEXT_BYTES_MAX.referrer] as const;
const COUNTRY = [CLICK.country, RECORD.country, CLICK_TEXT_BYTES_MAX.country] as const;
const REGION = [CLICK.region, RECORD.region, CLICK_TEXT_BYTES_MAX.region] as const;
const DEVICE_TYPE = [CLICK.deviceType, RECORD.deviceType, CLICK_TEXT_BYTES_MAX.device_type] as const;
const SYSTEM = [CLICK.os, RECORD.os, CLICK_TEXT_BYTES_MAX.os] as const;
const BROWSER = [CLICK.browser, RECORD.browser, CLICK_TEXT_BYTES_MAX.browser] as const;
const SHOWN = [
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
  readonly #parts: RecordParts;
  readonly #target: Buffer;
  #at = 0;
  #isSound = true;

  /** @param slots over `bytes`, a request's @param bytesMax of all records together */
  constructor(
    bytes: Buffer,
    slots: ClickSlots,
    source: Buffer,
    receivedMs: number,
    parts: RecordParts,
    bytesMax: number,
  ) {
    this.#bytes = bytes;
    this.#slots = slots;
    this.#source = source;
    this.#receivedMs = receivedMs;
    this.#parts = parts;
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
    this.#context();
    if (this.#source.length > 0) {
      this.#key(RECORD.source, this.#source.length);
      this.#at += this.#source.copy(this.#target, this.#at);
    }
    if (!this.#isSound) return this.#undo(start);
    const record = this.#target.subarray(start, this.#at);
    return new WrittenClick(clickMs, impressionMs, adId, this.#receivedMs, record);
  }

  /** As `foundFacts` completes these fields. */
  #context(): void {
    this.#given(REFERRER, '');
    const place = this.#place();
    this.#given(COUNTRY, place.country);
    this.#given(REGION, place.region);
    const { deviceType, os, browser } = this.#userAgent();
    this.#given(DEVICE_TYPE, deviceType);
    this.#given(SYSTEM, os);
    this.#given(BROWSER, browser);
    for (const text of SHOWN) this.#given(text, '');
  }

  #place(): Place {
    const isSaid = !this.#isEmpty(CLICK.country) || this.#isEmpty(CLICK.ip);
    if (isSaid || !this.#isSound) return NOWHERE;
    const start = this.#slots.starts[CLICK.ip] ?? 0;
    // An address has no other characters; what has is none either way.
    const address = this.#bytes.toString('latin1', start, this.#slots.ends[CLICK.ip]);
    return this.#parts.finder.ofAddress(address);
  }

  #userAgent(): UserAgentFacts {
    const isSaid =
      !this.#isEmpty(CLICK.deviceType) && !this.#isEmpty(CLICK.os) && !this.#isEmpty(CLICK.browser);
    if (isSaid || this.#isEmpty(CLICK.userAgent) || !this.#isSound) return NO_USER_AGENT;
    const start = this.#slots.starts[CLICK.userAgent] ?? 0;
    return this.#parts.userAgents.of(this.#bytes, start, this.#slots.ends[CLICK.userAgent] ?? 0);
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

  /** What was said, or else what was found: words of ASCII. */
  #given([field, target, bytesMax]: readonly [number, number, number], found: string): void {
    if (!this.#isEmpty(field)) this.#text(field, target, bytesMax);
    else if (found !== '') {
      this.#key(target, found.length);
      for (let index = 0; index < found.length; index++) this.#target[this.#at++] = found.charCodeAt(index);
    }
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
    const salt = this.#parts.userKeySalt.at(eventTimeMs);
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
