/** Reads the messages of a segment back out of its Parquet file, in their order, a row group at a time (I14). */
import { open } from 'node:fs/promises';
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import type { StoredMessage } from '../../domain/streamMessage.ts';
import { messageOf } from './segmentColumns.ts';

/** As they were written: no text is changed, and no time cut. */
const PARSERS = {
  stringFromBytes: (bytes: Uint8Array) =>
    bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  uuidFromBytes: (bytes: Uint8Array) => bytes,
  timestampFromMilliseconds: (milliseconds: bigint) => milliseconds,
  timestampFromNanoseconds: (nanoseconds: bigint) => nanoseconds,
};
const COMPRESSORS = { ZSTD: (bytes: Uint8Array) => Bun.zstdDecompressSync(bytes) };

/** @throws Error where the file is none of the archive's */
export async function* readSegment(path: string): AsyncGenerator<StoredMessage> {
  const handle = await open(path, 'r');
  try {
    const file: AsyncBuffer = {
      byteLength: (await handle.stat()).size,
      slice: async (start, end = file.byteLength) => {
        const { buffer } = await handle.read(Buffer.alloc(end - start), 0, end - start, start);
        return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) as ArrayBuffer;
      },
    };
    const metadata = await parquetMetadataAsync(file, { parsers: PARSERS });
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const rows = await parquetReadObjects({
        file,
        metadata,
        rowStart,
        rowEnd,
        parsers: PARSERS,
        compressors: COMPRESSORS,
        utf8: false,
      });
      yield* messagesOf(rows);
      rowStart = rowEnd;
    }
  } finally {
    await handle.close();
  }
}

/** A group holds whole messages. */
function* messagesOf(rows: readonly Record<string, unknown>[]): Generator<StoredMessage> {
  let from = 0;
  for (let place = 1; place <= rows.length; place++) {
    if (place < rows.length && rows[place]?.['sequence'] === rows[from]?.['sequence']) continue;
    yield messageOf(rows.slice(from, place));
    from = place;
  }
}
