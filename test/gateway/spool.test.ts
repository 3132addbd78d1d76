/** The spool: what it answered is on disk, and is there again for a later run (I1). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSpool, encodeSpoolEntry, type SpoolEntry } from '../../src/domain/spoolEntry.ts';
import { Spool } from '../../src/gateway/spool.ts';
import { OverloadedError, UnavailableError } from '../../src/gateway/unavailable.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns } from '../support/until.ts';

const never = new AbortController().signal;

const entry = (text: string): SpoolEntry => ({
  kind: 'batch',
  madeMs: 1_750_000_000_000,
  shard: 7,
  batchId: `batch-${text}`,
  bytes: Buffer.from(text),
});

async function openSpool(folder = new MemorySpoolFolder(), bytesMax = 2 ** 20) {
  const log = new SilentLog();
  return { folder, log, spool: await Spool.open({ folder, bytesMax, log }) };
}

/** Everything that the spool holds, oldest first, taken out of it. */
async function empty(spool: Spool): Promise<SpoolEntry[]> {
  const all: SpoolEntry[] = [];
  while (spool.bytes > 0) {
    await spool.filled(never);
    const segment = spool.next(0, new Set()) ?? 0;
    const { entries, extent } = await spool.read(segment);
    all.push(...entries);
    await spool.discard(segment, extent);
  }
  return all;
}

describe('an entry', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
  const anyEntry = fc.oneof(
    fc.record({
      kind: fc.constant('batch' as const),
      batchId: fc.string({ maxLength: 60 }),
      madeMs: fc.maxSafeNat(),
      shard: fc.nat(),
      bytes,
    }),
    fc.record({
      kind: fc.constant('unrouted' as const),
      batchId: fc.string({ maxLength: 60 }),
      madeMs: fc.maxSafeNat(),
      records: fc.array(bytes, { maxLength: 5 }),
    }),
  );

  it('is read as it was written, and a file that was cut anywhere gives the whole entries before the cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyEntry, { maxLength: 6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (given, where) => {
          const frames = given.map(encodeSpoolEntry);
          const file = Buffer.concat(frames);
          expect(decodeSpool(file)).toEqual({ entries: given, soundBytes: file.length });
          const cut = Math.floor(where * file.length);
          let sound = 0;
          let whole = 0;
          for (const frame of frames) {
            if (sound + frame.length > cut) break;
            sound += frame.length;
            whole += 1;
          }
          expect(decodeSpool(file.subarray(0, cut))).toEqual({
            entries: given.slice(0, whole),
            soundBytes: sound,
          });
        },
      ),
    );
  });

  it('that has one wrong bit ends what is read; zeros are no entries', () => {
    const file = Buffer.concat([entry('a'), entry('b'), entry('c')].map(encodeSpoolEntry));
    const size = encodeSpoolEntry(entry('a')).length;
    for (let byte = size; byte < 2 * size; byte++) {
      const wrong = Buffer.from(file);
      wrong[byte] = (wrong[byte] ?? 0) ^ 4;
      expect(decodeSpool(wrong)).toEqual({ entries: [entry('a')], soundBytes: size });
    }
    expect(decodeSpool(Buffer.alloc(100))).toEqual({ entries: [], soundBytes: 0 });
  });
});

describe('the spool', () => {
  it('answers when an entry is synced, and syncs together what came meanwhile', async () => {
    const { spool, folder } = await openSpool();
    let appends = 0;
    folder.trouble.decide = (operation, border) => {
      if (operation === 'append' && border === 'before') appends += 1;
    };
    const hold = folder.trouble.hold('append', 'before');
    let answered = 0;
    const sent = ['a', 'b', 'c', 'd'].map((text) => spool.append(entry(text)).then(() => (answered += 1)));
    await hold.reached;
    await turns();
    expect(answered).toBe(0);
    hold.release();
    await Promise.all(sent);
    expect(appends).toBe(2);
    expect((await empty(spool)).map(({ batchId }) => batchId)).toEqual(
      ['a', 'b', 'c', 'd'].map((text) => `batch-${text}`),
    );
    expect(folder.bytes).toBe(0);
  });

  it('gives a later run what an earlier one left, with the torn end cut, reported and kept aside', async () => {
    const { spool, folder } = await openSpool();
    await spool.append(entry('kept'));
    folder.trouble.hold('append', 'before');
    void spool.append(entry('torn'));
    await turns();
    folder.crash((unsynced) => unsynced - 1);
    const tornBytes = encodeSpoolEntry(entry('torn')).length - 1;
    const later = await openSpool(folder);
    expect(later.log.lines).toMatchObject([{ level: 'warn' }]);
    expect(await empty(later.spool)).toEqual([entry('kept')]);
    expect(later.log.lines).toMatchObject([{ level: 'warn' }, { level: 'error', facts: { tornBytes } }]);
    expect([...folder.torn.keys()]).toEqual([1]);
    // And its number is not given again.
    const third = await openSpool(folder);
    await third.spool.append(entry('next'));
    await third.spool.filled(never);
    expect(third.spool.next(0, new Set())).toBe(2);
  });

  it('refuses what goes beyond its size, by the name of the setting, and takes more once there is room', async () => {
    const size = encodeSpoolEntry(entry('a')).length;
    const { spool } = await openSpool(new MemorySpoolFolder(), 3 * size);
    await Promise.all(['a', 'b', 'c'].map((text) => spool.append(entry(text))));
    expect(spool.isFull).toBe(true);
    const refused = spool.append(entry('d'));
    await expect(refused).rejects.toBeInstanceOf(OverloadedError);
    await expect(refused).rejects.toThrow(
      `holds ${3 * size} bytes of clicks; SPOOL_BYTES_MAX allows ${3 * size}`,
    );
    await empty(spool);
    await spool.append(entry('d'));
  });

  it.each(['before', 'after'] as const)(
    'refuses what the disk refused (%s), and goes on in another file',
    async (border) => {
      const { spool, folder } = await openSpool();
      await spool.append(entry('a'));
      folder.trouble.failNext('append', border);
      await expect(spool.append(entry('b'))).rejects.toBeInstanceOf(UnavailableError);
      await spool.append(entry('c'));
      const ids = (await empty(spool)).map(({ batchId }) => batchId);
      expect(ids.filter((id) => id !== 'batch-b')).toEqual(['batch-a', 'batch-c']);
    },
  );

  it('that could not write its first entry holds nothing', async () => {
    const { spool, folder } = await openSpool();
    folder.trouble.failNext('append', 'before');
    await expect(spool.append(entry('a'))).rejects.toBeInstanceOf(UnavailableError);
    expect(spool.bytes).toBe(0);
  });
});
