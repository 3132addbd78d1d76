/**
 * What was read of bytes that come again and again: comparing bytes costs less than reading them, and the same bytes
 * give the same object, whose hash the engine knows already. Holds a bounded number of short ones (I14).
 */

const SLOTS = 4_096;
const BYTES_MAX = 256;

interface Cached<T> {
  readonly bytes: Uint8Array;
  readonly value: T;
}

export class BytesCache<T> {
  readonly #slots = new Array<Cached<T> | undefined>(SLOTS).fill(undefined);
  readonly #read: (bytes: Buffer) => T;
  readonly #hashedEvery: number;
  readonly #bytesMax: number;

  /**
   * @param read gets bytes of its own
   * @param hashedEvery by how many bytes of them it tells bytes apart; more than 1 is enough where they are long
   * @param bytesMax longer ones are read each time
   */
  constructor(read: (bytes: Buffer) => T, hashedEvery: number, bytesMax = BYTES_MAX) {
    this.#read = read;
    this.#hashedEvery = hashedEvery;
    this.#bytesMax = bytesMax;
  }

  /** What is read of `bytes` from `start` to `end`. */
  of(bytes: Uint8Array, start: number, end: number): T {
    const slot = slotOf(bytes, start, end, this.#hashedEvery);
    const cached = this.#slots[slot];
    if (cached !== undefined && isSame(cached.bytes, bytes, start, end)) return cached.value;
    // A view would keep the whole message.
    const own = new Uint8Array(end - start);
    own.set(bytes.subarray(start, end));
    const value = this.#read(Buffer.from(own.buffer));
    if (own.length <= this.#bytesMax) this.#slots[slot] = { bytes: own, value };
    return value;
  }
}

/** Bytes that share a slot only take turns in it. */
function slotOf(bytes: Uint8Array, start: number, end: number, every: number): number {
  let hash = end - start;
  for (let at = end - 1; at >= start; at -= every) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
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
