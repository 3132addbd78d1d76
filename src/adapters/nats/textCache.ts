/** Texts that come again and again, by their bytes. */
import { BytesCache } from './bytesCache.ts';

/** Texts are longer than that. */
const HASHED_EVERY = 8;

export class TextCache {
  readonly #texts = new BytesCache((bytes) => bytes.toString(), HASHED_EVERY);

  /** The UTF-8 text in `bytes` from `start` to `end`. */
  text(bytes: Uint8Array, start: number, end: number): string {
    return this.#texts.of(bytes, start, end);
  }
}
