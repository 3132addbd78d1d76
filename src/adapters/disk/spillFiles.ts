/**
 * Files of one process's own for what does not fit into its memory, one a part. Their folder is removed as soon as they
 * are open: what is written lives as long as the process holds them, and is gone with it, however it ends.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Of each file, so that a part costs one write for many records. */
const BUFFER_BYTES = 64 * 1024;
const PIECE_BYTES = 1024 * 1024;

interface PartFile {
  readonly descriptor: number;
  readonly buffer: Buffer;
  buffered: number;
}

export class SpillFiles {
  readonly #files: PartFile[];

  private constructor(files: PartFile[]) {
    this.#files = files;
  }

  /** @param directory where there is room; it must exist */
  static create(directory: string, parts: number): SpillFiles {
    const folder = mkdtempSync(path.join(directory, 'clickledger-'));
    const files: PartFile[] = [];
    try {
      for (let part = 0; part < parts; part++) {
        const descriptor = openSync(path.join(folder, `${part}`), 'w+', 0o600);
        files.push({ descriptor, buffer: Buffer.allocUnsafe(BUFFER_BYTES), buffered: 0 });
      }
    } catch (error) {
      for (const { descriptor } of files) closeSync(descriptor);
      throw error;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return new SpillFiles(files);
  }

  /** Waits for the disk, so that nothing gathers in memory. */
  append(part: number, bytes: Uint8Array): void {
    const file = this.#file(part);
    if (file.buffered + bytes.length > BUFFER_BYTES) flush(file);
    if (bytes.length > BUFFER_BYTES) {
      writeWhole(file.descriptor, bytes);
    } else {
      file.buffer.set(bytes, file.buffered);
      file.buffered += bytes.length;
    }
  }

  /** Everything appended to the part. A piece is good until the next one is asked for. */
  *read(part: number): Generator<Buffer> {
    const file = this.#file(part);
    flush(file);
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let position = 0; ; ) {
      const count = readSync(file.descriptor, piece, 0, PIECE_BYTES, position);
      if (count === 0) return;
      position += count;
      yield piece.subarray(0, count);
    }
  }

  close(): void {
    for (const { descriptor } of this.#files) closeSync(descriptor);
  }

  #file(part: number): PartFile {
    const file = this.#files[part];
    if (file === undefined) throw new RangeError(`there is no part ${part}`);
    return file;
  }
}

function flush(file: PartFile): void {
  writeWhole(file.descriptor, file.buffer.subarray(0, file.buffered));
  file.buffered = 0;
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done, bytes.length - done);
}
