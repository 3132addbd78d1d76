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

/** The rows that come out, and the message that comes after them, to one who first connects to a gateway. */
async function readable(content: string | Uint8Array): Promise<{ rows: number; trouble: string }> {
  let rows = 0;
  try {
    const file = await open(content);
    await Bun.sleep(CONNECT_MS);
    for await (const _ of file.rows()) rows += 1;
  } catch (error) {
    return { rows, trouble: error instanceof Error ? error.message : String(error) };
  }
  return { rows, trouble: '' };
}

async function rowsOf(content: string | Uint8Array): Promise<{ values: readonly string[]; line: number }[]> {
  const rows = [];
  for await (const { values, line } of (await open(content)).rows()) rows.push({ values, line });
  return rows;
}

/** Larger than any buffer on the way, so that it comes in many chunks. */
const MANY = 200_000;
/** Long enough for the reader to come upon the mistake in a small file. */
const CONNECT_MS = 50;

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
    const { rows, trouble } = await readable(packed.subarray(0, packed.length / 2));
    expect(rows).toBeGreaterThan(10_000);
    expect(trouble).toContain('ends in the middle of its packed data');
    const cut = gzipSync('a,b\n1,2\n3,4\n').subarray(0, -8);
    const small = await readable(cut);
    expect(small.trouble).toContain('ends in the middle of its packed data');
    const wrong = Buffer.concat([cut, Buffer.alloc(8, 0xff)]);
    expect((await readable(wrong)).trouble).toContain('the packed data is damaged');
  });

  it('stops at a quote that is never closed, and says on which line it is opened', async () => {
    await expect(rowsOf('a,b\n1,2\n"3,4\n5,6\n')).rejects.toThrow(
      'line 3: a quote is opened in this row and never closed',
    );
    const endless = `a,b\n1,2\n"3,4\n${'5,6\n'.repeat(500_000)}`;
    await expect(rowsOf(endless)).rejects.toThrow(/line 3: the row is larger than \d+ bytes/);
  });

  it.each([
    ['a small file', 'a,b\n', 3, '"3,4\n5,6\n'],
    ['a small file with empty lines', 'a,b\n\n\n', 3, '\n"3,4\n5,6\n'],
    ['a small file with line breaks in quotes', '"a\r\nx",b\r\n"1\r\n\r\n2",3\r\n', 3, '"3,4\r\n5,6\r\n'],
    ['a file of one row', 'a,b\n', 0, '"3'],
    ['a large file', 'a,b\n', MANY, '"3,4\n5,6\n'],
    ['a large file that goes on', 'a,b\n', MANY, `"3,4\n${'5,6\n'.repeat(500_000)}`],
  ])('gives all rows before a quote that is never closed: %s', async (_what, start, good, end) => {
    const before = start + (start.includes('\r') ? '1,2\r\n' : '1,2\n').repeat(good);
    const line = before.split('\n').length + (end.startsWith('\n') ? 1 : 0);
    const startRows = start.includes('\r') ? 1 : 0;
    for (const pack of [Buffer.from, gzipSync]) {
      const { rows, trouble } = await readable(pack(before + end));
      expect(rows).toBe(startRows + good);
      expect(trouble).toMatch(
        new RegExp(`clicks.csv, line ${line}: .* so the rest of the file cannot be read`),
      );
    }
  });

  it('names the first line where the header opens a quote that is never closed', async () => {
    await expect(open('\n"a,b\n1,2\n')).rejects.toThrow('clicks.csv, line 2: a quote is opened in this row');
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
