/** Cuts a file into pieces for messages, and knows its length and SHA-256. */

export const PIECE_BYTES_MAX = 64 * 1024;

export class FilePieces {
  readonly #hash = new Bun.CryptoHasher('sha256');
  #rest: Uint8Array = new Uint8Array(0);
  #bytes = 0;

  /** The whole pieces that there are with these bytes. */
  *add(bytes: Uint8Array): Generator<Uint8Array> {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const wholeBytes = all.length - (all.length % PIECE_BYTES_MAX);
    // A copy: what is left would hold all of the others in memory.
    this.#rest = new Uint8Array(all.subarray(wholeBytes));
    for (let start = 0; start < wholeBytes; start += PIECE_BYTES_MAX)
      yield all.subarray(start, start + PIECE_BYTES_MAX);
  }

  /** The last piece, which may be empty, and what the whole file is. */
  end(): { readonly last: Uint8Array; readonly bytes: number; readonly sha256: string } {
    return { last: this.#rest, bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}
