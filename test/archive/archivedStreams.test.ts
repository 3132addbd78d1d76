/** A stream that begins in the archive is read as one: the same messages, whatever is removed meanwhile, or an error. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { verifyArchive } from '../../src/archive/verifyArchive.ts';
import { streamFolder } from '../../src/domain/archivedSegment.ts';
import { UndecidedError } from '../../src/domain/replayRange.ts';
import { StreamGapError, type StreamMessage } from '../../src/domain/streamMessage.ts';
import { SHARD } from '../support/agingStream.ts';
import { Archiver, HOUR_MS, seen } from './archiver.ts';

const MINUTE_MS = 60_000;

/** 60 messages, 20 minutes apart, of which the stream holds those from `first` on. */
async function archived(first: number): Promise<Archiver> {
  const archiver = await Archiver.make();
  archiver.publish(60, 20 * MINUTE_MS);
  await archiver.run();
  archiver.stream.firstSequence = first;
  return archiver;
}

async function pathOf(archiver: Archiver, place: number): Promise<string> {
  const { file = '' } = (await archiver.archived()).segments[place] ?? {};
  return join(archiver.folder, streamFolder(SHARD, archiver.stream.incarnation), file);
}

const verify = ({ store }: Archiver) => verifyArchive(store, () => undefined, new AbortController().signal);

describe('reading', () => {
  test.each([1, 2, 3, 4, 5, 30, 31, 57, 58])('is whole where the stream begins at %i', async (first) => {
    const archiver = await archived(first);
    const right = seen(archiver.stream.all);
    expect(seen(await archiver.readAll())).toEqual(right);
    for (const [from, through] of [
      [1, 1],
      [3, 4],
      [first, first],
      [29, 31],
      [57, 60],
    ] as const)
      expect(seen(await archiver.readAll(from, through))).toEqual(right.slice(from - 1, through));
    expect(await archiver.readAll(5, 4)).toEqual([]);
    expect(await archiver.streams().state(SHARD)).toMatchObject({ firstSequence: 1, lastSequence: 60 });
  });

  test('goes on in the archive where the stream loses meanwhile what comes next', async () => {
    const archiver = await archived(10);
    const { signal } = new AbortController();
    const read: StreamMessage[] = [];
    for await (const message of archiver.streams().read(SHARD, archiver.stream.incarnation, 1, signal, 60)) {
      read.push(message);
      if (message.sequence === 5) archiver.stream.firstSequence = 12;
      if (message.sequence === 15) archiver.stream.firstSequence = 40;
    }
    expect(seen(read)).toEqual(seen(archiver.stream.all));
  });

  test('finds the first message of a time, in the archive or behind it', async () => {
    const archiver = await archived(31);
    const { all, incarnation } = archiver.stream;
    for (const { timestampMs, sequence } of all) {
      for (const [timeMs, first] of [
        [timestampMs, sequence],
        [timestampMs + 1, sequence + 1],
      ] as const)
        expect(await archiver.streams().firstSequenceAt(SHARD, incarnation, timeMs)).toBe(first);
    }
  });

  test('is stopped', async () => {
    const archiver = await archived(31);
    const stop = new AbortController();
    const read: number[] = [];
    for await (const { sequence } of archiver
      .streams()
      .read(SHARD, archiver.stream.incarnation, 1, stop.signal)) {
      read.push(sequence);
      if (sequence === 7) stop.abort();
    }
    expect(read.at(-1)).toBe(7);
  });

  test('of another incarnation is refused', async () => {
    const archiver = await archived(31);
    const { signal } = new AbortController();
    const other = archiver.streams().read(SHARD, '2025-01-01T00:00:00Z', 1, signal, 60);
    await expect(other[Symbol.asyncIterator]().next()).rejects.toThrow(StreamGapError);
    await expect(archiver.streams().firstSequenceAt(SHARD, '2025-01-01T00:00:00Z', 0)).rejects.toThrow(
      StreamGapError,
    );
  });

  test('of what is in neither is refused, and the first sequence is the stream’s own', async () => {
    const archiver = await archived(59);
    // The archive ends at 57: what lay between is nowhere.
    archiver.stream.firstSequence = 60;
    expect(await archiver.streams().state(SHARD)).toMatchObject({ firstSequence: 60 });
    await expect(archiver.readAll()).rejects.toThrow(
      /message 1 of shard 0 is neither on the stream, .*begins at 60/,
    );
    expect(seen(await archiver.readAll(60, 60))).toEqual(seen(archiver.stream.all.slice(59)));
  });
});

describe('damage', () => {
  test('of a file stops whoever needs it, with its name; verify names it, and nothing else', async () => {
    const archiver = await archived(31);
    expect(await verify(archiver)).toMatchObject({ streams: 1, files: 19, damages: [] });
    const path = await pathOf(archiver, 2);
    const bytes = await Bun.file(path).bytes();
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await Bun.write(path, bytes);
    await expect(archiver.readAll()).rejects.toThrow(UndecidedError);
    await expect(archiver.readAll()).rejects.toThrow(`${path} with messages 7 to 9 of shard 0 is damaged`);
    expect((await archiver.readAll(10)).length).toBe(51);
    expect((await verify(archiver)).damages).toEqual([
      expect.stringContaining(`${path} with messages 7 to 9`),
    ]);
    await Bun.file(path).delete();
    await expect(archiver.readAll()).rejects.toThrow(`the archive lacks ${path}`);
    expect((await verify(archiver)).damages).toEqual([expect.stringContaining(`the archive lacks ${path}`)]);
  });

  test.each<[string, (manifest: string) => string, RegExp]>([
    ['cut off', (text) => text.slice(0, 300), /no JSON/],
    ['of another format', (text) => text.replace('"format":1', '"format":2'), /format/],
    ['without a segment', (text) => text.replace(/\n\{[^\n]*_4-6[^\n]*/, ''), /_7-9.parquet does not follow/],
    ['with another hash', (text) => text.replace(/"sha256":"./, '"sha256":"x'), /sha256/],
    [
      'with another range',
      (text) => text.replace('"last_sequence":9', '"last_sequence":8'),
      /_7-9.parquet does not follow|_10-12.parquet does not follow/,
    ],
  ])('of a manifest (%s) is an error with its name, never an answer', async (_what, change, why) => {
    const archiver = await archived(31);
    const path = join(archiver.folder, streamFolder(SHARD, archiver.stream.incarnation), 'manifest.json');
    const changed = change(await Bun.file(path).text());
    await Bun.write(path, changed);
    await expect(archiver.streams().state(SHARD)).rejects.toThrow(UndecidedError);
    await expect(archiver.readAll()).rejects.toThrow(UndecidedError);
    await expect(archiver.readAll()).rejects.toThrow(`the manifest ${path} is damaged`);
    await expect(archiver.readAll()).rejects.toThrow(why);
    expect((await verify(archiver)).damages).toEqual([expect.stringContaining(path)]);
    // What the stream holds needs no archive.
    archiver.stream.firstSequence = 1;
    expect((await archiver.readAll()).length).toBe(60);
  });

  test('a manifest of another shard is refused', async () => {
    const archiver = await archived(31);
    const path = join(archiver.folder, streamFolder(SHARD, archiver.stream.incarnation), 'manifest.json');
    await Bun.write(path, (await Bun.file(path).text()).replace('"shard":0', '"shard":5'));
    await expect(archiver.readAll()).rejects.toThrow(/is that of shard 5/);
  });
});

test('an hour’s worth of messages with the same time is found whole', async () => {
  const archiver = await Archiver.make();
  archiver.publish(50, 0);
  archiver.stream.timeMs += 2 * HOUR_MS;
  archiver.publish(1, 0);
  await archiver.run();
  archiver.stream.firstSequence = 51;
  const [first] = archiver.stream.all;
  expect(
    await archiver.streams().firstSequenceAt(SHARD, archiver.stream.incarnation, first?.timestampMs ?? 0),
  ).toBe(1);
});
