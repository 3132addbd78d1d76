/** The spool: what it answered is on disk and gets to the streams, once, whatever happens in between (I1). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { decodeSpool, encodeSpoolEntry, type SpoolEntry } from '../../src/domain/spoolEntry.ts';
import { Spool } from '../../src/gateway/spool.ts';
import { OverloadedError, UnavailableError } from '../../src/gateway/unavailable.ts';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns, until } from '../support/until.ts';

const SHARDS = 3;
const never = new AbortController().signal;

const entry = (text: string): SpoolEntry => ({
  kind: 'batch',
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
    const segment = (await spool.next(never)) ?? 0;
    const { entries, whole } = await spool.read(segment);
    all.push(...entries);
    await spool.discard(segment, whole);
  }
  return all;
}

describe('an entry', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
  const anyEntry = fc.oneof(
    fc.record({
      kind: fc.constant('batch' as const),
      batchId: fc.string({ maxLength: 60 }),
      shard: fc.nat(),
      bytes,
    }),
    fc.record({
      kind: fc.constant('unrouted' as const),
      batchId: fc.string({ maxLength: 60 }),
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
    expect(await third.spool.next(never)).toBe(2);
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

describe('draining', () => {
  async function setUp(folder = new MemorySpoolFolder(), streams = new MemoryStreams(() => NOON_MS)) {
    streams.ensure(SHARDS);
    const routing = new MemoryRoutingStream(SHARDS, RULES).open();
    const log = new SilentLog();
    const timers = { pause: () => turns(1), nextTurn: (work: () => void) => void setImmediate(work) };
    const path = await clickPathOver(streams, routing, { folder, log, timers });
    return { ...path, folder, streams, routing, log };
  }

  const clicks = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) =>
      recordOf({ adId: `ad-${index % 5}`, clickId: uuid7At(NOON_MS, from + index), impressionId: undefined }),
    );

  /** The click_ids on the streams, as numbers of `clicks`. */
  function standing(streams: MemoryStreams): number[] {
    const numbers: number[] = [];
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const { bytes } of streams.messages(shard)) {
        for (const { facts } of decodeClickBatch(bytes)?.records ?? [])
          numbers.push(Buffer.from(facts?.clickId ?? []).readUInt32BE(12));
      }
    }
    return numbers.sort((left, right) => left - right);
  }
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

  it('brings everything to the streams when JetStream is back, and the shards with it', async () => {
    const { clickLog, spool, drainSpool, streams } = await setUp();
    await clickLog.append(clicks(0, 1));
    streams.trouble.failNext('publish', 'before', Infinity);
    const stop = new AbortController();
    const draining = drainSpool(stop.signal);
    for (let round = 0; round < 10; round++) {
      const durable = await clickLog.append(clicks(1 + round * 9, 9));
      expect(new Set(durable)).toEqual(new Set(['spooled']));
    }
    expect(standing(streams)).toEqual([0]);
    streams.trouble.mend();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(91));
    expect((await clickLog.append(clicks(91, 1)))[0]).not.toBe('spooled');
    stop.abort();
    await draining;
  });

  it('after a kill in the middle sends the same ids again: nothing stands twice', async () => {
    const { clickLog, drainSpool, streams, folder } = await setUp();
    await clickLog.append(clicks(0, 1));
    streams.trouble.failNext('publish', 'after', SHARDS);
    await clickLog.append(clicks(1, 30));
    // The first of them is on the stream; then this gateway is gone.
    const hold = streams.trouble.hold('publish', 'after');
    void drainSpool(never);
    await hold.reached;
    folder.crash(() => 0);
    const next = await setUp(folder, streams);
    void next.drainSpool(never);
    await until(() => next.spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(31));
  });

  it.each(['before', 'after'] as const)(
    'sends a segment no second time because its file could not be removed (%s)',
    async (border) => {
      const { clickLog, spool, drainSpool, streams, folder } = await setUp();
      await clickLog.append(clicks(0, 1));
      streams.trouble.failNext('publish', 'before', SHARDS);
      await clickLog.append(clicks(1, 10));
      folder.trouble.failNext('remove', border, 2);
      let publishes = 0;
      streams.trouble.decide = (operation, at) => {
        if (operation === 'publish' && at === 'before') publishes += 1;
      };
      void drainSpool(never);
      await until(() => spool.bytes === 0);
      expect(publishes).toBeLessThanOrEqual(SHARDS);
      expect(standing(streams)).toEqual(numbers(11));
    },
  );

  it('routes what could not be routed, when the table can be raised', async () => {
    const { clickLog, spool, drainSpool, streams, routing } = await setUp();
    routing.trouble.failNext('read', 'before', Infinity);
    expect(new Set(await clickLog.append(clicks(0, 20)))).toEqual(new Set(['spooled']));
    void drainSpool(never);
    await turns(20);
    expect(standing(streams)).toEqual([]);
    routing.trouble.mend();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(20));
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const { bytes } of streams.messages(shard)) {
        for (const { facts } of decodeClickBatch(bytes)?.records ?? [])
          expect(facts && routing.table.route(facts)).toBe(shard);
      }
    }
  });

  it('lets a shard that refuses hold up no other', async () => {
    const { clickLog, spool, drainSpool, streams } = await setUp();
    await clickLog.append(clicks(0, 1));
    streams.trouble.failNext('publish', 'before', SHARDS);
    await clickLog.append(clicks(1, 30));
    streams.silent.add(0);
    void drainSpool(never);
    await until(() => standing(streams).length > 10);
    await turns(20);
    const missing = streams.messages(0).length;
    expect(spool.bytes).toBeGreaterThan(0);
    streams.silent.clear();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(31));
    expect(streams.messages(0).length).toBeGreaterThan(missing);
  });
});
