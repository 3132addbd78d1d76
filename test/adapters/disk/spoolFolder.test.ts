/** The spool's files on a real disk: one gateway a folder, what was appended is there, refusals leave what was there. */
import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { SpoolFolder } from '../../../src/adapters/disk/spoolFolder.ts';
import { tiedCommand } from '../../../src/cli/stack/privileges.ts';
import { decodeSpool } from '../../../src/domain/spoolEntry.ts';

async function open(directory: string): Promise<SpoolFolder> {
  const folder = await SpoolFolder.take(directory);
  if (folder === undefined) throw new Error(`${directory} is taken`);
  return folder;
}

const newDirectory = () =>
  path.join(inject('testDirectory'), `spool-${randomBytes(6).toString('hex')}`, 'in');

test('segments are appended to, listed in order, read, set aside and removed', async () => {
  const directory = newDirectory();
  const folder = await open(directory);
  expect(await folder.list()).toEqual({ segments: [], lastNumber: 0 });
  await folder.append(2, 0, Buffer.from('two'));
  await folder.append(11, 0, Buffer.from('eleven'));
  await folder.append(2, 3, Buffer.from(' and more'));
  await writeFile(path.join(directory, 'note.txt'), 'not a segment');
  expect((await folder.list()).segments).toEqual([
    { number: 2, bytes: 12 },
    { number: 11, bytes: 6 },
  ]);
  expect(Buffer.from(await folder.read(2)).toString()).toBe('two and more');
  await folder.setAside(11);
  await folder.remove(2);
  expect(await folder.list()).toEqual({ segments: [], lastNumber: 11 });
  expect(await readdir(directory)).toContain('000000000011.torn');
});

test('a folder belongs to one gateway, and is free again when that one has gone', async () => {
  const directory = newDirectory();
  const script = `import { SpoolFolder } from '${path.resolve('src/adapters/disk/spoolFolder.ts')}';
    const held = await SpoolFolder.take(process.argv[1]); console.log('open'); await new Promise((resolve) => setTimeout(resolve, 60_000)); held.close();`;
  const other = Bun.spawn(tiedCommand([process.execPath, '-e', script, directory], 'KILL'), {
    stdout: 'pipe',
    stdin: 'ignore',
  });
  const { value } = await other.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('open\n');
  expect(await SpoolFolder.take(directory)).toBeUndefined();
  other.kill('SIGKILL');
  await other.exited;
  expect(await SpoolFolder.take(directory)).toBeDefined();
});

/** A gateway in another process that tries to open the folder; what it says. */
async function openElsewhere(directory: string): Promise<string> {
  const script = `import { SpoolFolder } from '${path.resolve('src/adapters/disk/spoolFolder.ts')}';
    console.log((await SpoolFolder.take(process.argv[1])) === undefined ? 'taken' : 'open');`;
  const child = Bun.spawn(tiedCommand([process.execPath, '-e', script, directory], 'KILL'), {
    stdout: 'pipe',
    stdin: 'ignore',
  });
  return (await new Response(child.stdout).text()).trim();
}

test('a folder stays locked however much garbage is collected, until it is closed', async () => {
  const directory = newDirectory();
  const folder = await open(directory);
  for (let round = 0; round < 5; round++) {
    Array.from({ length: 100_000 }, (_, index) => ({ index }));
    Bun.gc(true);
    await Bun.sleep(1);
  }
  expect(await openElsewhere(directory)).toBe('taken');
  folder.close();
  expect(await openElsewhere(directory)).toBe('open');
});

test('a new segment takes no place of one that is there', async () => {
  const folder = await open(newDirectory());
  await folder.append(1, 0, Buffer.from('answered'));
  await expect(folder.append(1, 0, Buffer.from('new'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(Buffer.from(await folder.read(1)).toString()).toBe('answered');
});

test('a disk that takes only a part refuses; what was there before can still be read', async () => {
  const directory = newDirectory();
  // The limit on the size of a file stands in for a full disk: the kernel takes a part and then says no.
  const script = `import { SpoolFolder } from '${path.resolve('src/adapters/disk/spoolFolder.ts')}';
    import { encodeSpoolEntry } from '${path.resolve('src/domain/spoolEntry.ts')}';
    const folder = await SpoolFolder.take(process.argv[1]);
    const frame = encodeSpoolEntry({ kind: 'batch', shard: 1, batchId: 'a', madeMs: 0, bytes: new Uint8Array(900) });
    await folder.append(1, 0, frame);
    const refused = await folder.append(1, frame.length, frame).catch((error) => error.code);
    console.log(refused);`;
  const command = `ulimit -f 1; exec "$@"`;
  const child = Bun.spawn(['bash', '-c', command, 'bash', process.execPath, '-e', script, directory], {
    stdout: 'pipe',
    stdin: 'ignore',
  });
  expect((await new Response(child.stdout).text()).trim()).toBe('EFBIG');
  const folder = await open(directory);
  const file = await folder.read(1);
  expect(file.length).toBe(1024);
  const { entries, soundBytes } = decodeSpool(file);
  expect(entries.length).toBe(1);
  expect(soundBytes).toBeLessThan(1024);
});
