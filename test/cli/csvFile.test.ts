/** Files as they come: packed, in parts, cut off, with odd quotes. No row may go missing in silence. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CsvFile } from '../../src/cli/import/csvFile.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'clickledger-csv-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function open(content: string | Uint8Array): Promise<CsvFile> {
  const filePath = path.join(folder, 'clicks.csv');
  await writeFile(filePath, content);
  return CsvFile.open(filePath);
}

async function rowsOf(content: string | Uint8Array): Promise<{ values: readonly string[]; line: number }[]> {
  const rows = [];
  for await (const { values, line } of (await open(content)).rows()) rows.push({ values, line });
  return rows;
}

/** Larger than any buffer on the way, so that it comes in many chunks. */
const MANY = 200_000;

describe('a CSV file', () => {
  it('gives rows with their numbers and lines, past a byte order mark, empty lines and line breaks in quotes', async () => {
    const file = await open('\ufeffa,b\r\n1,2\r\n\r\n"x\r\ny",3\r\n4,5');
    expect(file.header).toEqual(['a', 'b']);
    const rows = [];
    for await (const row of file.rows()) rows.push(row);
    expect(rows).toEqual([
      { values: ['1', '2'], rowNumber: 1, line: 2 },
      { values: ['x\r\ny', '3'], rowNumber: 2, line: 5 },
      { values: ['4', '5'], rowNumber: 3, line: 6 },
    ]);
  });

  it('takes a quote inside a value as it stands, and loses no row for it', async () => {
    const rows = await rowsOf('a,b\n5" screen,1\n"quoted ""well""",2\n"half" quoted,3\nx,4\n');
    expect(rows.map(({ values }) => values[1])).toEqual(['1', '2', '3', '4']);
    expect(rows.map(({ values }) => values[0])).toEqual(['5" screen', 'quoted "well"', '"half" quoted', 'x']);
  });

  it('is read to its end when it is long, packed in several parts too', async () => {
    const half = Array.from({ length: MANY / 2 }, (_, index) => `${index},x\n`).join('');
    expect(await rowsOf(`a,b\n${half}${half}`)).toHaveLength(MANY);
    const parts = Buffer.concat([gzipSync(`a,b\n${half}`), gzipSync(half)]);
    expect(await rowsOf(parts)).toHaveLength(MANY);
  });

  it('says that packed data was cut off, after the rows before', async () => {
    const packed = gzipSync(Array.from({ length: 50_000 }, (_, index) => `${index},${index * 7}\n`).join(''));
    await expect(rowsOf(packed.subarray(0, packed.length / 2))).rejects.toThrow(
      'ends in the middle of its packed data',
    );
  });

  it('stops at a quote that is never closed, and says on which line it is opened', async () => {
    await expect(rowsOf('a,b\n1,2\n"3,4\n5,6\n')).rejects.toThrow(
      'line 3: a quote is opened in this row and never closed',
    );
    const endless = `a,b\n1,2\n"3,4\n${'5,6\n'.repeat(500_000)}`;
    await expect(rowsOf(endless)).rejects.toThrow(/line 3: the row is larger than \d+ bytes/);
  });

  it('that is empty, absent or a folder is refused with its name', async () => {
    await expect(open('')).rejects.toThrow('clicks.csv is empty; its first line must name the columns');
    await expect(CsvFile.open(path.join(folder, 'none.csv'))).rejects.toThrow('none.csv');
    await expect(CsvFile.open(folder)).rejects.toThrow('is no regular file');
  });

  it('can be left before its end', async () => {
    const file = await open(`a,b\n${'1,2\n'.repeat(MANY)}`);
    for await (const { rowNumber } of file.rows()) if (rowNumber === 10) break;
    expect(file.bytesRead).toBeLessThan(file.sizeBytes);
  });
});
