/** Files for what does not fit into memory: parts apart, everything in order, nothing left behind. */
import { mkdtemp, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { SpillFiles } from '../../../src/adapters/disk/spillFiles.ts';

const folder = () => mkdtemp(path.join(inject('testDirectory'), 'spill-'));

test('give each part what was appended to it, in order, also beyond their buffers', async () => {
  const files = SpillFiles.create(await folder(), 3);
  const written: Buffer[] = [];
  for (let number = 0; number < 400; number++) {
    const bytes = Buffer.alloc((number * 37) % 9_000, number);
    written.push(bytes);
    files.append(1, bytes);
    if (number === 200) files.append(2, Buffer.alloc(200_000, 7));
  }
  const read = (part: number) => Buffer.concat(pieces(files, part));
  expect(read(0)).toHaveLength(0);
  expect(read(1).equals(Buffer.concat(written))).toBe(true);
  expect(read(2).equals(Buffer.alloc(200_000, 7))).toBe(true);
  files.close();
});

/** A piece is good only until the next one is asked for. */
function pieces(files: SpillFiles, part: number): Buffer[] {
  const copies: Buffer[] = [];
  for (const piece of files.read(part)) copies.push(Buffer.from(piece));
  return copies;
}

test('leave nothing in the folder, not even while they are used', async () => {
  const directory = await folder();
  const files = SpillFiles.create(directory, 4);
  files.append(0, Buffer.alloc(100_000));
  expect(await readdir(directory)).toEqual([]);
  files.close();
});
