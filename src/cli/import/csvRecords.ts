/**
 * csv-parse as a stream that ends in order. A stream that fails is destroyed, with the rows that it had ready and
 * nobody had fetched yet; for a small file that is all of them. So this one does not fail: it gives the rows before
 * the mistake, ends, and keeps in `failure` what ended it.
 */
import type { TransformCallback } from 'node:stream';
import { type Options, Parser } from 'csv-parse';

/** What csv-parse gives with `info: true`. */
export interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number; readonly empty_lines: number };
}

export class CsvRecords extends Parser {
  #failure: Error | undefined;
  #sourceFailure: Error | undefined;

  constructor(options: Options) {
    super({ ...options, info: true });
  }

  /** Why there are no more rows, once all were given; undefined at the end of the file. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Ends after what was written so far: an unfinished row at its end is no row. */
  breakOff(error: Error): void {
    if (this.writableEnded) return;
    this.#sourceFailure = error;
    this.end();
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    // What follows the mistake is dropped; whoever reads stops the source.
    if (this.#failure !== undefined) done();
    else super._transform(chunk, encoding, (error) => this.#parsed(error, done));
  }

  override _flush(done: TransformCallback): void {
    this.#failure ??= this.#sourceFailure;
    if (this.#failure !== undefined) done();
    else super._flush((error) => this.#parsed(error, done));
  }

  #parsed(error: Error | null | undefined, done: TransformCallback): void {
    if (error) {
      this.#failure = error;
      this.push(null);
    }
    done();
  }
}
