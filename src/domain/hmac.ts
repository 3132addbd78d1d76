/**
 * HMAC-SHA256 (RFC 2104) of short texts under one key, many times: two hashes at one go each, over memory that is used
 * again. A hasher object for each text costs several times as much, most of it when it is collected.
 */
const BLOCK_BYTES = 64;
export const HMAC_BYTES = 32;
const INNER = 0x36;
const OUTER = 0x5c;
/** Longer ones get memory of their own. */
const TEXT_BYTES_MAX = 2_048;
/** No character of a JavaScript string takes more. */
const UTF8_BYTES_MAX = 3;

// Scratch space of all keys for one call; everything here is synchronous.
const scratch = Buffer.alloc(BLOCK_BYTES + TEXT_BYTES_MAX);
/** Views of its beginning, by the lengths of their texts: making one costs a tenth of the whole. */
const views: Uint8Array[] = [];
/** The block that stands at its beginning now. */
let standing: Uint8Array | undefined;

export class Hmac {
  readonly #inner = new Uint8Array(BLOCK_BYTES).fill(INNER);
  readonly #outer = new Uint8Array(BLOCK_BYTES + HMAC_BYTES);
  readonly #innerHash = this.#outer.subarray(BLOCK_BYTES);
  readonly #result = new Uint8Array(HMAC_BYTES);

  constructor(key: Uint8Array) {
    const short = new Uint8Array(HMAC_BYTES);
    if (key.length > BLOCK_BYTES) Bun.SHA256.hash(key, short);
    this.#outer.fill(OUTER, 0, BLOCK_BYTES);
    for (const [index, byte] of (key.length > BLOCK_BYTES ? short : key).entries()) {
      this.#inner[index] = INNER ^ byte;
      this.#outer[index] = OUTER ^ byte;
    }
  }

  /** Of a text, or of its UTF-8 bytes. @returns 32 bytes, good until the next call */
  of(text: string | Uint8Array): Uint8Array {
    Bun.SHA256.hash(this.#message(text), this.#innerHash);
    Bun.SHA256.hash(this.#outer, this.#result);
    return this.#result;
  }

  #message(text: string | Uint8Array): Uint8Array {
    const bytesMax = typeof text === 'string' ? text.length * UTF8_BYTES_MAX : text.length;
    if (bytesMax > TEXT_BYTES_MAX)
      return Buffer.concat([this.#inner, typeof text === 'string' ? Buffer.from(text) : text]);
    if (standing !== this.#inner) {
      scratch.set(this.#inner);
      standing = this.#inner;
    }
    if (typeof text === 'string') return viewOf(scratch.write(text, BLOCK_BYTES));
    scratch.set(text, BLOCK_BYTES);
    return viewOf(text.length);
  }
}

function viewOf(length: number): Uint8Array {
  let view = views[length];
  if (view === undefined) {
    view = scratch.subarray(0, BLOCK_BYTES + length);
    views[length] = view;
  }
  return view;
}
