/**
 * Rows of a CSV file, read as a stream: never more of it in memory than a few chunks. Packed with gzip or not is
 * told by its first bytes, not by its name.
 *
 * Quotes: a quote inside an unquoted value is taken as it stands. A quoted value that never ends makes the rest of
 * the file unreadable; that stops the import, after the rows before, with the line where its row starts. csv-parse
 * could skip such rows, but then it also skips, in silence, what else stood in the same chunk.
 */

import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import type { CsvError } from 'csv-parse';
import { errorText } from '../../domain/errorText.ts';
import { CliError } from '../cliError.ts';
import type { Row } from './clickOfRow.ts';
import { type CsvRecord, CsvRecords } from './csvRecords.ts';

const ROW_BYTES_MAX = 1024 * 1024;
const GZIP_MAGIC = [0x1f, 0x8b] as const;

export class CsvFile {
  readonly path: string;
  /** Without its folder: the same file elsewhere is the same file. */
  readonly name: string;
  readonly sizeBytes: number;
  #header: readonly string[] = [];
  readonly #source: ReadStream;
  readonly #records: CsvRecords;
  readonly #iterator: AsyncIterator<CsvRecord>;
  /** The line on which the last row ended, and how many empty lines stood before it. */
  #line = 0;
  #emptyLines = 0;
  #rowNumber = 0;
  #overcounted = 0;

  private constructor(filePath: string, sizeBytes: number, source: ReadStream, records: CsvRecords) {
    this.path = filePath;
    this.name = path.basename(filePath);
    this.sizeBytes = sizeBytes;
    this.#source = source;
    this.#records = records;
    this.#iterator = records[Symbol.asyncIterator]() as AsyncIterator<CsvRecord>;
  }

  /** @throws CliError where there is no such file or no first line */
  static async open(filePath: string): Promise<CsvFile> {
    const sizeBytes = await regularFileSize(filePath);
    const magic = await Bun.file(filePath).slice(0, GZIP_MAGIC.length).bytes();
    const isGzip = GZIP_MAGIC.every((byte, index) => magic[index] === byte);
    const source = createReadStream(filePath);
    const records = new CsvRecords({
      bom: true,
      max_record_size: ROW_BYTES_MAX,
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    });
    const brokenOff = (error: Error) => records.breakOff(error);
    source.on('error', brokenOff);
    // No `pipeline`: it destroys the records, and with them the rows that are ready.
    if (isGzip) source.pipe(createGunzip().on('error', brokenOff)).pipe(records);
    else source.pipe(records);
    const file = new CsvFile(filePath, sizeBytes, source, records);
    try {
      const first = await file.#next();
      if (first === undefined)
        throw new CliError(`${filePath} is empty; its first line must name the columns`);
      file.#header = first.record.map((name) => name.trim());
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get header(): readonly string[] {
    return this.#header;
  }

  /** How much of the file has been read, of `sizeBytes`. */
  get bytesRead(): number {
    return Math.min(this.#source.bytesRead, this.sizeBytes);
  }

  /** @throws CliError where the file cannot be read on */
  async *rows(): AsyncGenerator<Row> {
    try {
      for (;;) {
        const next = await this.#next();
        if (next === undefined) return;
        this.#rowNumber += 1;
        yield { values: next.record, rowNumber: this.#rowNumber, line: this.#line };
      }
    } finally {
      this.close();
    }
  }

  async #next(): Promise<CsvRecord | undefined> {
    const next = await this.#iterator.next();
    if (next.done !== true) {
      this.#line = this.#lineOf(next.value);
      this.#emptyLines = next.value.info.empty_lines;
      return next.value;
    }
    const { failure, info } = this.#records;
    if (failure === undefined) return undefined;
    const line = this.#line + (info.empty_lines - this.#emptyLines) + 1;
    throw new CliError(`${this.path}, line ${line}: ${readingTrouble(failure)}`);
  }

  /** csv-parse takes a line break of two characters inside a quoted value for two. */
  #lineOf({ record, info }: CsvRecord): number {
    if (info.lines - this.#overcounted > this.#line + 1) {
      this.#overcounted += record.reduce((sum, value) => sum + value.split('\r\n').length - 1, 0);
    }
    return info.lines - this.#overcounted;
  }

  close(): void {
    this.#source.destroy();
  }
}

function readingTrouble(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? (error as CsvError).code : undefined;
  switch (code as string | undefined) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quote is opened in this row and never closed, so the rest of the file cannot be read';
    case 'CSV_MAX_RECORD_SIZE':
      return `the row is larger than ${ROW_BYTES_MAX} bytes, so the rest of the file cannot be read; is a quote opened in it that should not be?`;
    case 'Z_BUF_ERROR':
      return 'the file ends in the middle of its packed data; it was not copied as a whole';
    case 'Z_DATA_ERROR':
      return 'the packed data is damaged';
    default:
      return errorText(error);
  }
}

async function regularFileSize(filePath: string): Promise<number> {
  const found = await stat(filePath).catch((error: Error) => {
    throw new CliError(`cannot read ${filePath}: ${error.message}`);
  });
  if (!found.isFile()) throw new CliError(`${filePath} is no regular file`);
  return found.size;
}
