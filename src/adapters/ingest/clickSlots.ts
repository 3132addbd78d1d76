/**
 * Where the fields of a `Click` (proto/clickledger/v1/click.proto) stand in the bytes of a request, found without
 * decoding any of them. One object serves all clicks of a request, one after the other.
 *
 * It reads only what is written as the contract says it. What is not (a field that it does not know or of another type,
 * a number that is too long, a length beyond the click's end) is no click for it.
 */
import { DELIMITED, tag, VARINT } from '../nats/clickFields.ts';

/** Field numbers of `Click`. */
export const CLICK = {
  clickId: 1,
  impressionId: 2,
  adId: 3,
  eventTimeMs: 4,
  userId: 5,
  ip: 6,
  userAgent: 7,
  referrer: 8,
  country: 9,
  region: 10,
  deviceType: 11,
  os: 12,
  browser: 13,
  publisherId: 14,
  placementId: 15,
  creativeId: 16,
  test: 17,
  attributes: 18,
} as const;

const FIELDS = 18;
/** Seven bytes hold numbers below 2^49, which are exact here; four hold every key and length of a request. */
const NUMBER_BYTES_MAX = 7;
const SIZE_BYTES_MAX = 4;

export class ClickSlots {
  /** By field number: where its value begins and ends. -1: it is not there. */
  readonly starts = new Int32Array(FIELDS + 1);
  readonly ends = new Int32Array(FIELDS + 1);
  eventTimeMs = 0;
  test = false;
  hasAttributes = false;
  readonly #bytes: Uint8Array;
  #at = 0;
  #end = 0;
  #isPlain = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Finds the fields of the click between `start` and `end`; false: it is not plain. */
  find(start: number, end: number): boolean {
    this.starts.fill(-1);
    this.ends.fill(-1);
    this.eventTimeMs = 0;
    this.test = false;
    this.hasAttributes = false;
    this.#at = start;
    this.#end = end;
    this.#isPlain = true;
    while (this.#at < end && this.#isPlain) this.#field(this.#number(SIZE_BYTES_MAX));
    return this.#isPlain;
  }

  #field(key: number): void {
    const field = key >>> 3;
    if (key === tag(CLICK.eventTimeMs, VARINT)) this.eventTimeMs = this.#number(NUMBER_BYTES_MAX);
    else if (key === tag(CLICK.test, VARINT)) this.test = this.#number(SIZE_BYTES_MAX) !== 0;
    else if (key === tag(CLICK.attributes, DELIMITED)) this.#attribute();
    else if (key === tag(field, DELIMITED) && isText(field)) {
      const length = this.#number(SIZE_BYTES_MAX);
      // As for the library, the last of several is the one.
      this.starts[field] = this.#at;
      this.#skip(length);
      this.ends[field] = this.#at;
    } else this.#isPlain = false;
  }

  /** A key and a value, each a text. */
  #attribute(): void {
    this.hasAttributes = true;
    const length = this.#number(SIZE_BYTES_MAX);
    const end = this.#at + length;
    while (this.#isPlain && this.#at < end) {
      const key = this.#number(SIZE_BYTES_MAX);
      if (key !== tag(1, DELIMITED) && key !== tag(2, DELIMITED)) this.#isPlain = false;
      else this.#skip(this.#number(SIZE_BYTES_MAX));
      if (this.#at > end) this.#isPlain = false;
    }
  }

  #skip(length: number): void {
    if (length > this.#end - this.#at) this.#isPlain = false;
    else this.#at += length;
  }

  #number(bytesMax: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < bytesMax && this.#at < this.#end; count++) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      if (byte < 0x80) return value + byte * scale;
      value += (byte - 0x80) * scale;
      scale *= 0x80;
    }
    this.#isPlain = false;
    return 0;
  }
}

function isText(field: number): boolean {
  return field >= CLICK.clickId && field <= CLICK.creativeId && field !== CLICK.eventTimeMs;
}
