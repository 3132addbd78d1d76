/**
 * Texts by their bytes, for texts that come again and again: comparing bytes costs less than decoding them, and the same
 * text is the same object, whose hash the engine knows already. Holds a bounded number of short texts (I14).
 */

const SLOTS = 4_096;
/** Longer ones are decoded each time. */
const TEXT_BYTES_MAX = 256;

interface CachedText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

export class TextCache {
  readonly #slots = new Array<CachedText | undefined>(SLOTS).fill(undefined);

  /** The UTF-8 text in `bytes` from `start` to `end`. */
  text(bytes: Uint8Array, start: number, end: number): string {
    const slot = slotOf(bytes, start, end);
    const cached = this.#slots[slot];
    if (cached !== undefined && isSame(cached.bytes, bytes, start, end)) return cached.text;
    // A view would keep the whole message.
    const own = new Uint8Array(end - start);
    own.set(bytes.subarray(start, end));
    const text = Buffer.from(own.buffer).toString();
    if (own.length <= TEXT_BYTES_MAX) this.#slots[slot] = { bytes: own, text };
    return text;
  }
}

/** By the length and every eighth byte: texts that share a slot only take turns in it. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let at = end - 1; at >= start; at -= 8) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
  // The last bytes tell numbered ids apart.
  hash = (Math.imul(hash, 31) + (bytes[end - 2] ?? 0)) | 0;
  hash = (Math.imul(hash, 31) + (bytes[end - 3] ?? 0)) | 0;
  return Math.imul(hash, 0x9e37_79b1) >>> 20;
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let index = 0; index < known.length; index++) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}
