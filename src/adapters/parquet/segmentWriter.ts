/**
 * Writes a segment of a stream into a Parquet file, a row group at a time: memory is that of one group (I14). The same
 * messages give the same bytes.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { StoredMessage } from '../../domain/streamMessage.ts';
import { RowGroup, SCHEMA, type StreamName } from './segmentColumns.ts';

/** A group holds whole messages, and is written as soon as it has so many rows or bytes of messages. */
export const GROUP_ROWS_MAX = 20_000;
const GROUP_BYTES_MAX = 16 * 1024 * 1024;

export interface WrittenFile {
  readonly rows: number;
  readonly records: number;
  readonly bytes: number;
  readonly sha256: string;
}

export class SegmentWriter {
  readonly #stream: StreamName;
  readonly #file: HashedFile;
  readonly #parquet: ParquetWriter;
  readonly #group = new RowGroup();
  #groupBytes = 0;
  #rows = 0;
  #records = 0;

  /** @param path what is there is written over */
  constructor(path: string, stream: StreamName) {
    this.#stream = stream;
    this.#file = new HashedFile(path);
    this.#parquet = new ParquetWriter({
      writer: this.#file,
      schema: SCHEMA,
      codec: 'ZSTD',
      compressors: { ZSTD: (bytes) => Bun.zstdCompressSync(bytes) },
      createdBy: 'clickledger',
    });
  }

  add(message: StoredMessage): void {
    const before = this.#group.rows;
    this.#records += this.#group.add(this.#stream, message);
    this.#rows += this.#group.rows - before;
    this.#groupBytes += message.bytes.length;
    if (this.#group.rows >= GROUP_ROWS_MAX || this.#groupBytes >= GROUP_BYTES_MAX) this.#writeGroup();
  }

  /** Returns when the file is on disk. */
  finish(): WrittenFile {
    this.#writeGroup();
    void this.#parquet.finish();
    const { offset: bytes, sha256 } = this.#file;
    return { rows: this.#rows, records: this.#records, bytes, sha256 };
  }

  /** Lets go of a file that is not wanted. */
  discard(): void {
    this.#file.close();
  }

  #writeGroup(): void {
    const { rows } = this.#group;
    if (rows === 0) return;
    // Nothing of this writer waits: the promise of the library is for those that do.
    void this.#parquet.write({ columnData: this.#group.take(), rowGroupSize: rows });
    this.#groupBytes = 0;
  }
}

/** What the library writes goes to the file and into the hash at the end of each row group. */
class HashedFile extends ByteWriter {
  readonly #descriptor: number;
  readonly #hash = new Bun.CryptoHasher('sha256');
  sha256 = '';

  constructor(path: string) {
    super();
    this.#descriptor = openSync(path, 'w', 0o640);
  }

  flush(): void {
    const bytes = this.getBytes();
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
    this.index = 0;
  }

  override finish(): void {
    this.flush();
    fsyncSync(this.#descriptor);
    this.close();
    this.sha256 = this.#hash.digest('hex');
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
