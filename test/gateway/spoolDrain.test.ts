/** Draining: what the spool holds gets to the streams, once, and no shard waits for another (I1). */
import { describe, expect, it } from 'vitest';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { decodeSpool, laneOf } from '../../src/domain/spoolEntry.ts';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns, until } from '../support/until.ts';

const SHARDS = 3;
const never = new AbortController().signal;

describe('draining', () => {
  async function setUp(
    folder = new MemorySpoolFolder(),
    streams = new MemoryStreams(() => NOON_MS),
    bytesMax = 2 ** 26,
  ) {
    streams.ensure(SHARDS);
    const routingStream = new MemoryRoutingStream(SHARDS, RULES);
    const routing = routingStream.open();
    const log = new SilentLog();
    const timers = { pause: () => turns(1), nextTurn: (work: () => void) => void setImmediate(work) };
    const path = await clickPathOver(streams, routing, { folder, log, timers, bytesMax });
    return { ...path, folder, streams, routing, routingStream, log };
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

  it('routes by an entry that came while the table could not be read: what waited was routed by nobody', async () => {
    const { clickLog, spool, drainSpool, streams, routing, routingStream } = await setUp();
    routing.trouble.failNext('read', 'before', Infinity);
    const hot = clicks(0, 60).map((click) => ({ ...click, adId: 'hot' }));
    expect(new Set(await clickLog.append(hot))).toEqual(new Set(['spooled']));
    const other = routingStream.open();
    const fromMs = other.table.closedUntilMs;
    expect(await other.append({ kind: 'fan_out', adId: 'hot', fanOut: SHARDS, fromMs })).toBe(true);
    void drainSpool(never);
    routing.trouble.mend();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(60));
    await other.read();
    for (const shard of numbers(SHARDS)) {
      const facts = streams.messages(shard).flatMap(({ bytes }) => decodeClickBatch(bytes)?.records ?? []);
      expect(facts.length).toBeGreaterThan(0);
      for (const { facts: click } of facts) expect(click && other.table.route(click)).toBe(shard);
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

  /** A gateway on a folder in which runs before it left three segments, each with clicks of all shards. */
  async function afterThreeRuns() {
    const folder = new MemorySpoolFolder();
    const streams = new MemoryStreams(() => NOON_MS);
    streams.ensure(SHARDS);
    for (let run = 0; run < 3; run++) {
      const { clickLog } = await setUp(folder, streams);
      streams.trouble.failNext('publish', 'before', Infinity);
      await clickLog.append(clicks(run * 30, 30));
      streams.trouble.mend();
    }
    return setUp(folder, streams);
  }

  /** The shards whose entries the folder holds. */
  async function shardsIn(folder: MemorySpoolFolder): Promise<Set<number | 'unrouted'>> {
    const { segments } = await folder.list();
    const files = await Promise.all(segments.map(({ number }) => folder.read(number)));
    return new Set(files.flatMap((file) => decodeSpool(file).entries.map(laneOf)));
  }

  it('goes on behind a shard that refuses: what is left is that shard’s alone, and is not read in vain', async () => {
    const { clickLog, spool, drainSpool, streams, folder } = await afterThreeRuns();
    streams.silent.add(0);
    // All shards have refused once.
    streams.trouble.failNext('publish', 'before', SHARDS);
    await clickLog.append(clicks(90, 30));
    const onShard0 = (await clickLog.append(clicks(120, 30))).length;
    expect(onShard0).toBe(30);
    void drainSpool(never);
    const others = () => streams.messages(1).length > 0 && streams.messages(2).length > 0;
    await until(() => others() && folder.segments <= 2);
    expect(await shardsIn(folder)).toEqual(new Set([0]));
    // The healthy ones take clicks without the spool again.
    const durable = await clickLog.append(clicks(150, 30));
    expect(durable.filter((place) => place === 'spooled').length).toBeLessThan(30);
    let reads = 0;
    let tries = 0;
    streams.trouble.decide = (operation, border) => {
      if (operation === 'publish' && border === 'before') tries += 1;
    };
    folder.trouble.decide = (operation, border) => {
      if (operation === 'read' && border === 'before') reads += 1;
    };
    await until(() => reads > 20);
    // A pass reads one segment of a silent shard, and asks for what is on its way at a time, no more.
    expect(tries).toBeLessThanOrEqual((reads + 1) * 16);
    expect(folder.segments).toBeLessThanOrEqual(2);
    streams.silent.clear();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(180));
  });

  it('goes on behind a segment that cannot be read, and says so once', async () => {
    const { spool, drainSpool, streams, folder, log } = await afterThreeRuns();
    folder.unreadable.add(1);
    void drainSpool(never);
    await until(() => standing(streams).length === 60);
    await turns(50);
    expect(log.lines.filter(({ level }) => level === 'error')).toMatchObject([{ facts: { segment: 1 } }]);
    folder.unreadable.clear();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(90));
  });

  it('keeps a segment of which a part is left while the disk takes nothing', async () => {
    const { spool, drainSpool, streams, folder } = await afterThreeRuns();
    streams.silent.add(0);
    folder.trouble.failNext('append', 'before', Infinity);
    void drainSpool(never);
    await until(() => standing(streams).length > 0);
    await turns(50);
    expect((await folder.list()).segments.length).toBe(3);
    folder.trouble.mend();
    await until(() => folder.segments === 1);
    expect(await shardsIn(folder)).toEqual(new Set([0]));
    streams.silent.clear();
    await until(() => spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(90));
  });

  it('moves what is left although the spool is full', async () => {
    const { folder, streams } = await afterThreeRuns();
    const full = await setUp(folder, streams, folder.bytes);
    expect(full.spool.isFull).toBe(true);
    streams.silent.add(0);
    void full.drainSpool(never);
    await until(() => !full.spool.isFull && folder.segments === 1);
    streams.silent.clear();
    await until(() => full.spool.bytes === 0);
    expect(standing(streams)).toEqual(numbers(90));
  });
});
