/** What is archived is the stream, whenever the archiver runs, dies or meets another; and nothing else is ever removed. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { archiveSealed } from '../../src/archive/archiveSealed.ts';
import type { ArchiveStore } from '../../src/archive/ports.ts';
import { streamFolder } from '../../src/domain/archivedSegment.ts';
import { SHARD } from '../support/agingStream.ts';
import { Archiver, HOUR_MS, seen } from './archiver.ts';

const MINUTE_MS = 60_000;

const ranges = async (archiver: Archiver) =>
  (await archiver.archived()).segments.map(({ file }) => file.replace('.parquet', ''));

describe('hours', () => {
  test('are archived when they are over, each in a file, and the open one is not', async () => {
    const archiver = await Archiver.make();
    archiver.publish(10, 20 * MINUTE_MS);
    expect(await archiver.run()).toMatchObject({ segments: 3, records: 9, shardsTroubled: [] });
    expect(await ranges(archiver)).toEqual([
      'hour=2025-06-15T12_1-3',
      'hour=2025-06-15T13_4-6',
      'hour=2025-06-15T14_7-9',
    ]);
    expect(await archiver.run()).toMatchObject({ segments: 0 });
    archiver.publish(3, 20 * MINUTE_MS);
    expect(await archiver.run()).toMatchObject({ segments: 1 });
    expect((await ranges(archiver)).at(-1)).toBe('hour=2025-06-15T15_10-12');
    expect(archiver.troubles).toEqual([]);
  });

  test('are sealed when the margin is over, not before, also where no click comes any more', async () => {
    const archiver = await Archiver.make();
    archiver.publish(2, 1);
    archiver.stream.timeMs = archiver.stream.timeMs - 2 + HOUR_MS + MINUTE_MS - 1;
    expect(await archiver.run()).toMatchObject({ segments: 0 });
    archiver.stream.timeMs += 1;
    expect(await archiver.run()).toMatchObject({ segments: 1, records: 2 });
  });

  test('without a click have no file', async () => {
    const archiver = await Archiver.make();
    archiver.publish(2, 5 * HOUR_MS);
    await archiver.run();
    expect(await ranges(archiver)).toEqual(['hour=2025-06-15T12_1-1', 'hour=2025-06-15T17_2-2']);
  });

  test('stay in order where the clock steps back over a border: no message twice, none left out', async () => {
    const archiver = await Archiver.make();
    archiver.publish(2, 10 * MINUTE_MS);
    archiver.stream.timeMs += HOUR_MS;
    await archiver.run();
    // Back into the hour that is archived.
    archiver.stream.timeMs -= HOUR_MS;
    archiver.publish(6, 30 * MINUTE_MS);
    archiver.stream.timeMs += 2 * HOUR_MS;
    await archiver.run();
    const { segments } = await archiver.archived();
    expect(segments.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence])).toEqual([
      [1, 2],
      [3, 6],
      [7, 8],
    ]);
    expect(segments[1]?.file).toBe('hour=2025-06-15T13_3-6.parquet');
  });

  test('of a stream that was made anew are archived beside those of the old one', async () => {
    const archiver = await Archiver.make();
    archiver.publish(2, HOUR_MS);
    archiver.stream.timeMs += HOUR_MS;
    await archiver.run();
    const before = await archiver.archived();
    archiver.stream.incarnation = '2025-06-15T16:00:00Z';
    archiver.stream.all.length = 0;
    archiver.publish(1, 2 * HOUR_MS);
    expect(await archiver.run()).toMatchObject({ segments: 1 });
    expect((await archiver.archived()).segments.map(({ firstSequence }) => firstSequence)).toEqual([1]);
    archiver.stream.incarnation = before.incarnation;
    expect(await archiver.archived()).toEqual(before);
  });

  test('that the stream lost, or a stream that went back, are refused with both sequences', async () => {
    const archiver = await Archiver.make();
    archiver.publish(4, HOUR_MS);
    await archiver.run();
    const before = await archiver.archived();
    const { lastSequence = 0 } = before.segments.at(-1) ?? {};
    expect(lastSequence).toBe(3);
    archiver.stream.firstSequence = 5;
    await archiver.run();
    archiver.stream.firstSequence = 1;
    archiver.stream.all.length = 2;
    await archiver.run();
    expect(archiver.troubles).toEqual([
      expect.stringMatching(/begins at sequence 5, but the archive ends at 3/),
      expect.stringMatching(/ends at sequence 2, but the archive holds it up to 3/),
    ]);
    expect(await archiver.archived()).toEqual(before);
  });
});

/** The store, killed at its n-th step: before it, or when it is done but nobody heard of it. */
function dying(store: ArchiveStore, step: number, isDone: boolean): ArchiveStore {
  let left = step;
  const killed = async <T>(work: () => Promise<T>): Promise<T> => {
    left -= 1;
    if (left > 0) return work();
    if (left === 0 && isDone) await work();
    throw new Error('killed');
  };
  return {
    place: store.place,
    readText: (name) => store.readText(name),
    list: (ending) => store.list(ending),
    fetch: (name) => store.fetch(name),
    newFile: () => store.newFile(),
    // A killed archiver does not clear up either.
    removeFile: async () => undefined,
    keep: (path, name) => killed(() => store.keep(path, name)),
    writeText: (name, text) => killed(() => store.writeText(name, text)),
  };
}

test('killed at every step and run again, it ends with the same manifest and files', async () => {
  const publish = (archiver: Archiver) => archiver.publish(20, 25 * MINUTE_MS);
  const undisturbed = await Archiver.make();
  publish(undisturbed);
  await undisturbed.run();
  const contents = async ({ folder, stream }: Archiver) => {
    const place = join(folder, streamFolder(SHARD, stream.incarnation));
    const files = (await readdir(place)).sort();
    return Promise.all(
      files.map(async (file) => [file, (await readFile(join(place, file))).toString('hex')]),
    );
  };
  const right = await contents(undisturbed);
  expect(right.length).toBeGreaterThan(8);

  const other = await Archiver.make();
  publish(other);
  for (let step = 1; step <= 12; step++) await other.run(dying(other.store, 1 + (step % 3), step % 2 === 0));
  expect(other.troubles.length).toBe(12);
  await other.run();
  expect(await contents(other)).toEqual(right);
});

test('a file that does not give back what was written is not kept', async () => {
  const archiver = await Archiver.make();
  archiver.publish(3, HOUR_MS);
  const { format, ...parts } = archiver.parts();
  const forgetful: typeof format = {
    write: format.write,
    async *read(path) {
      for await (const message of format.read(path)) yield { ...message, messageId: undefined };
    },
  };
  await archiveSealed({ ...parts, format: forgetful }, new AbortController().signal);
  expect(archiver.troubles).toEqual([
    expect.stringMatching(/hour=2025-06-15T12_1-1.parquet does not give back/),
  ]);
  expect((await archiver.archived()).segments).toEqual([]);
});

test('a second archiver does nothing', async () => {
  const archiver = await Archiver.make();
  archiver.publish(3, HOUR_MS);
  archiver.isLocked = true;
  expect(await archiver.run()).toBe(undefined);
  expect((await archiver.archived()).segments).toEqual([]);
});

describe('what is old', () => {
  async function grown(): Promise<Archiver> {
    const archiver = await Archiver.make();
    archiver.publish(80, HOUR_MS);
    return archiver;
  }

  test('is taken off the stream when it is archived and counted; the archive has it, as it was', async () => {
    const archiver = await grown();
    const before = seen(archiver.stream.all);
    expect(await archiver.run()).toMatchObject({ messagesRemoved: 32, shardsTroubled: [] });
    expect(archiver.removed).toEqual([[1, 32]]);
    expect(archiver.stream.maxAgeMs).toBe(undefined);
    expect(seen(await archiver.readAll())).toEqual(before);
    // Once a segment's time at most.
    expect(await archiver.run()).toMatchObject({ messagesRemoved: 0 });
  });

  test('stays while it is not counted', async () => {
    const archiver = await grown();
    archiver.floor = 40;
    expect(await archiver.run()).toMatchObject({ messagesRemoved: 0, shardsTroubled: [SHARD] });
    expect(archiver.troubles).toEqual([expect.stringMatching(/the counts reach only to sequence 40/)]);
    expect(archiver.stream.firstSequence).toBe(1);
  });

  test('stays where another stream is counted', async () => {
    const archiver = await grown();
    const { countedThrough: _, ...parts } = archiver.parts();
    const other = async () => new Map([[SHARD, { incarnation: 'another', floor: 80 }]]);
    await archiveSealed({ ...parts, countedThrough: other }, new AbortController().signal);
    expect(archiver.stream.firstSequence).toBe(1);
  });

  test('stays where its file is damaged or gone, which is named', async () => {
    const archiver = await grown();
    archiver.floor = 1;
    await archiver.run();
    archiver.floor = undefined;
    const { file = '' } = (await archiver.archived()).segments[3] ?? {};
    const path = join(archiver.folder, streamFolder(SHARD, archiver.stream.incarnation), file);
    await Bun.write(path, `${await Bun.file(path).text()} `);
    archiver.troubles.length = 0;
    await archiver.run();
    expect(archiver.troubles).toEqual([
      expect.stringContaining(`${path} with messages 4 to 4 of shard 0 is damaged`),
    ]);
    await Bun.file(path).delete();
    await archiver.run();
    expect(archiver.troubles.at(-1)).toContain(`the archive lacks ${path}`);
    expect(archiver.stream.firstSequence).toBe(1);
  });

  test('never is all that the stream holds', async () => {
    const archiver = await Archiver.make();
    archiver.publish(3, HOUR_MS);
    archiver.stream.timeMs += 100 * HOUR_MS;
    expect(await archiver.run()).toMatchObject({ segments: 3, messagesRemoved: 0, shardsTroubled: [] });
  });

  test('goes on going where the archiver was killed in the middle, and nothing else; the next one ends it', async () => {
    const archiver = await grown();
    archiver.stream.diesRemoving = true;
    await archiver.run();
    expect(archiver.stream.maxAgeMs).toBe(48 * HOUR_MS);
    // Nobody archives for nearly half of STREAM_MAX_AGE, under a load that is a thousand times as high.
    const { segments } = await archiver.archived();
    const { lastSequence: archivedThrough = 0 } = segments.at(-1) ?? {};
    archiver.publish(22_000, 3_600);
    expect(archiver.stream.firstSequence).toBeGreaterThan(40);
    expect(archiver.stream.firstSequence).toBeLessThanOrEqual(archivedThrough);
    archiver.stream.diesRemoving = false;
    expect(await archiver.run()).toMatchObject({ shardsTroubled: [] });
    expect(archiver.stream.maxAgeMs).toBe(undefined);
    expect((await archiver.readAll()).length).toBe(22_080);
  });
});

test('whatever the clock, the passes, the kills and the counts do: one stream, and nothing lost', async () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ publish: fc.integer({ min: 1, max: 6 }), apart: fc.nat(3 * HOUR_MS) }),
    },
    { weight: 1, arbitrary: fc.record({ back: fc.nat(2 * HOUR_MS) }) },
    { weight: 1, arbitrary: fc.record({ ahead: fc.nat(30 * HOUR_MS) }) },
    { weight: 3, arbitrary: fc.record({ run: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ count: fc.nat(100) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
      const archiver = await Archiver.make();
      archiver.maxAgeMs = 6 * HOUR_MS;
      archiver.floor = 0;
      for (const one of actions) {
        if ('publish' in one) archiver.publish(one.publish, one.apart);
        else if ('back' in one) archiver.stream.timeMs -= one.back;
        else if ('ahead' in one) archiver.stream.timeMs += one.ahead;
        else if ('count' in one)
          archiver.floor = Math.max(
            archiver.floor ?? 0,
            Math.floor((archiver.stream.all.length * one.count) / 100),
          );
        else await archiver.run(one.run ? undefined : dying(archiver.store, 2, false));
        const { stream } = archiver;
        const { segments } = await archiver.archived();
        expect(stream.firstSequence).toBeLessThanOrEqual((segments.at(-1)?.lastSequence ?? 0) + 1);
        expect(stream.firstSequence).toBeLessThanOrEqual((archiver.floor ?? 0) + 1);
      }
      expect(seen(await archiver.readAll())).toEqual(seen(archiver.stream.all));
    }),
    { numRuns: 60 },
  );
}, 60_000);
