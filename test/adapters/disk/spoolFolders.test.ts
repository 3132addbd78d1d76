/** The spools of one machine: a folder a gateway, and what one left goes to whoever runs. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { SpoolFolders } from '../../../src/adapters/disk/spoolFolders.ts';

const OURS = '2026-01-01T00:00:00Z';
const newDirectory = () => path.join(inject('testDirectory'), `spools-${randomBytes(6).toString('hex')}`);

test('gateways that start together get a spool each, and the first free one is taken again', async () => {
  const spools = await SpoolFolders.open(newDirectory(), OURS);
  const folders = await Promise.all(Array.from({ length: 5 }, () => spools.takeFree()));
  for (const [index, folder] of folders.entries()) await folder.append(index + 1, 0, Buffer.from('x'));
  // Each has only what was written into it.
  const held = await Promise.all(folders.map((folder) => folder.list()));
  expect(held.map(({ segments }) => segments.map(({ number }) => number))).toEqual([[1], [2], [3], [4], [5]]);
  folders[2]?.close();
  expect((await (await spools.takeFree()).list()).segments).toEqual([{ number: 3, bytes: 1 }]);
});

test('what waits in a spool that nobody has is found, also in the first; what a gateway has is not', async () => {
  const spools = await SpoolFolders.open(newDirectory(), OURS);
  const [first, second, third] = [await spools.takeFree(), await spools.takeFree(), await spools.takeFree()];
  for (const folder of [first, second]) await folder.append(1, 0, Buffer.from('clicks'));
  // Set aside for people: no click waits in it.
  await third.append(1, 0, Buffer.from('torn'));
  await third.setAside(1);
  third.close();
  expect(await spools.takeLeft()).toBeUndefined();
  for (const folder of [second, first]) {
    folder.close();
    const left = await spools.takeLeft();
    expect((await left?.list())?.segments).toEqual([{ number: 1, bytes: 6 }]);
    expect(await spools.takeLeft()).toBeUndefined();
  }
});

test('clicks of one installation are not handed to another', async () => {
  const directory = newDirectory();
  const folder = await (await SpoolFolders.open(directory, OURS)).takeFree();
  // Empty, it may be used by another one.
  await SpoolFolders.open(directory, '2026-02-02T00:00:00Z');
  await folder.append(1, 0, Buffer.from('clicks'));
  await expect(SpoolFolders.open(directory, OURS)).rejects.toThrow(
    `CLICKLEDGER_SPOOL_DIR=${JSON.stringify(directory)} holds clicks of another installation`,
  );
  await rm(path.join(directory, 'installation'));
  await SpoolFolders.open(directory, OURS);
});
