/** Group commit: what is answered is on the stream, once, in order, where the answer says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeClickBatch, encodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import { type Committed, GroupCommit } from '../../src/gateway/groupCommit.ts';
import { PARCEL_BYTES_MAX } from '../../src/gateway/parcels.ts';
import { Spool } from '../../src/gateway/spool.ts';
import { OverloadedError, UnavailableError } from '../../src/gateway/unavailable.ts';
import { NOON_MS } from '../support/clicks.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns } from '../support/until.ts';

const SHARDS = 6;
const BATCH_BYTES_MAX = 512 * 1024;
const BATCH_RECORDS_MAX = 8_000;
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
const MESSAGES_IN_FLIGHT_MAX = 4;
const SLOW_MS = 20;

async function setUp() {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(SHARDS);
  const log = new SilentLog();
  const batchIds: string[] = [];
  const folder = new MemorySpoolFolder();
  const spool = await Spool.open({ folder, bytesMax: 2 ** 26, log });
  const clock = { nowMs: NOON_MS };
  const groupCommit = new GroupCommit({
    publish: (shard, bytes, batchId) => streams.publish(shard, bytes, batchId),
    spool,
    encodeBatch: (records) => encodeClickBatch(1, records),
    timers: systemTimers,
    clock: () => clock.nowMs,
    newBatchId: () => {
      batchIds.push(`batch-${batchIds.length}`);
      return `batch-${batchIds.length - 1}`;
    },
    log,
  });
  return { streams, log, batchIds, groupCommit, spool, folder, clock };
}

const record = (text: string) => new TextEncoder().encode(text);

function placeOf(committed: Committed): [number, number] | 'spooled' {
  return committed === 'spooled' ? committed : [committed.sequence, committed.firstIndex];
}

/** The records of each message of a shard, as texts. */
function messages(streams: MemoryStreams, shard = 0): string[][] {
  return streams
    .messages(shard)
    .map(
      ({ bytes }) => decodeClickBatch(bytes)?.records.map((one) => new TextDecoder().decode(one.bytes)) ?? [],
    );
}

describe('group commit', () => {
  it('sends a lone click at the end of its turn', async () => {
    const { streams, groupCommit } = await setUp();
    expect(await groupCommit.submit(1, [record('a')])).toEqual({
      incarnation: 'made-2',
      sequence: 1,
      firstIndex: 0,
    });
    expect(messages(streams, 1)).toEqual([['a']]);
  });

  it('sends what came in one turn together, and says where each stands', async () => {
    const { streams, groupCommit } = await setUp();
    const answers = await Promise.all(
      [['a', 'b'], ['c'], [], ['d', 'e', 'f']].map((texts) => groupCommit.submit(0, texts.map(record))),
    );
    expect(messages(streams)).toEqual([['a', 'b', 'c', 'd', 'e', 'f']]);
    expect(answers.map(placeOf)).toEqual([
      [1, 0],
      [1, 2],
      [1, 3],
      [1, 3],
    ]);
  });

  it('has one batch of a shard on its way; what comes meanwhile leaves together with the next', async () => {
    const { streams, groupCommit } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const first = groupCommit.submit(0, [record('a')]);
    await hold.reached;
    const later = [groupCommit.submit(0, [record('b')])];
    await turns();
    later.push(groupCommit.submit(0, [record('c')]));
    await turns();
    expect(messages(streams)).toEqual([]);
    hold.release();
    await Promise.all([first, ...later]);
    expect(messages(streams)).toEqual([['a'], ['b', 'c']]);
  });

  it('has a few messages of all shards on their way; what waits for its turn leaves together', async () => {
    const { streams, groupCommit } = await setUp();
    const holds = Array.from({ length: MESSAGES_IN_FLIGHT_MAX }, () =>
      streams.trouble.hold('publish', 'before'),
    );
    const all = holds.map((_, shard) => groupCommit.submit(shard, [record('first')]));
    await Promise.all(holds.map((hold) => hold.reached));
    for (const text of ['a', 'b', 'c']) {
      for (const shard of [4, 5]) all.push(groupCommit.submit(shard, [record(text)]));
      await turns();
    }
    expect([messages(streams, 4), messages(streams, 5)]).toEqual([[], []]);
    holds[0]?.release();
    await all[0];
    await turns();
    expect(messages(streams, 4)).toEqual([['a', 'b', 'c']]);
    for (const hold of holds) hold.release();
    await Promise.all(all);
    expect(messages(streams, 5)).toEqual([['a', 'b', 'c']]);
  });

  it('lets the others go on where messages hang', async () => {
    const { streams, groupCommit, clock } = await setUp();
    const holds = Array.from({ length: MESSAGES_IN_FLIGHT_MAX }, () =>
      streams.trouble.hold('publish', 'before'),
    );
    const hanging = holds.map((_, shard) => groupCommit.submit(shard, [record('a')]));
    await Promise.all(holds.map((hold) => hold.reached));
    const waiting = groupCommit.submit(4, [record('b')]);
    clock.nowMs += SLOW_MS;
    expect(await waiting).toMatchObject({ sequence: 1 });
    for (const hold of holds) hold.release();
    await Promise.all(hanging);
  });

  it('lets no shard wait for another', async () => {
    const { streams, groupCommit } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const slow = groupCommit.submit(0, [record('a')]);
    await hold.reached;
    expect(await groupCommit.submit(1, [record('b')])).toMatchObject({ sequence: 1 });
    hold.release();
    await slow;
  });

  it.each(['before', 'after'] as const)(
    'spools the batch that was not confirmed, under the id and with the bytes that it was sent with (%s)',
    async (border) => {
      const { streams, groupCommit, spool, log, batchIds } = await setUp();
      streams.trouble.failNext('publish', border);
      const sent = [groupCommit.submit(0, [record('a')]), groupCommit.submit(0, [record('b')])];
      expect(await Promise.all(sent)).toEqual(['spooled', 'spooled']);
      const segment = spool.next(0, new Set());
      const { entries } = await spool.read(segment ?? 0);
      const bytes = encodeClickBatch(1, [record('a'), record('b')]);
      expect(entries).toEqual([
        { kind: 'batch', shard: 0, batchId: batchIds[0], madeMs: NOON_MS, bytes: Buffer.from(bytes) },
      ]);
      expect(log.lines.map(({ level }) => level)).toEqual(['error']);
    },
  );

  it('spools at once from then on, only that shard, until one of its batches got through', async () => {
    const { streams, groupCommit, log } = await setUp();
    let publishes = 0;
    streams.trouble.decide = (operation, border) => {
      if (operation === 'publish' && border === 'before') publishes += 1;
    };
    streams.trouble.failNext('publish', 'before');
    expect(await groupCommit.submit(0, [record('a')])).toBe('spooled');
    expect(await groupCommit.submit(0, [record('b')])).toBe('spooled');
    expect(publishes).toBe(1);
    expect(await groupCommit.submit(1, [record('c')])).toMatchObject({ sequence: 1 });
    groupCommit.delivered(0);
    expect(await groupCommit.submit(0, [record('d')])).toMatchObject({ sequence: 1 });
    expect(log.lines.map(({ level }) => level)).toEqual(['error', 'warn']);
  });

  it('refuses clicks that neither JetStream nor the disk takes, and asks JetStream first the next time', async () => {
    const { streams, groupCommit, folder } = await setUp();
    streams.trouble.failNext('publish', 'before');
    folder.trouble.failNext('append', 'before');
    await expect(groupCommit.submit(0, [record('a')])).rejects.toBeInstanceOf(UnavailableError);
    expect(await groupCommit.submit(0, [record('b')])).toMatchObject({ sequence: 1 });
  });

  it('gives every batch an id of its own, so that only a repeat of the same is absorbed', async () => {
    const { groupCommit, batchIds, streams } = await setUp();
    for (let turn = 0; turn < 3; turn++) {
      await Promise.all([0, 1, 2].map((shard) => groupCommit.submit(shard, [record('a')])));
    }
    expect(new Set(batchIds).size).toBe(9);
    expect(messages(streams)).toEqual([['a'], ['a'], ['a']]);
  });

  it('fails clicks that cannot be written, and goes on', async () => {
    const { streams, log, spool } = await setUp();
    let broken = true;
    const groupCommit = new GroupCommit({
      publish: (shard, bytes, batchId) => streams.publish(shard, bytes, batchId),
      spool,
      encodeBatch: (records) => {
        if (broken) throw new RangeError('too large');
        return encodeClickBatch(1, records);
      },
      timers: systemTimers,
      clock: () => NOON_MS,
      newBatchId: () => 'id',
      log,
    });
    await expect(groupCommit.submit(0, [record('a')])).rejects.toBeInstanceOf(UnavailableError);
    broken = false;
    expect(await groupCommit.submit(0, [record('b')])).toMatchObject({ sequence: 1 });
  });

  it('keeps messages below the broker’s limit: bytes', async () => {
    const { streams, groupCommit } = await setUp();
    const parcel = new Uint8Array(PARCEL_BYTES_MAX);
    await Promise.all(Array.from({ length: 9 }, () => groupCommit.submit(0, [parcel])));
    const portions = messages(streams).map((records) => records.length);
    expect(portions).toEqual([4, 4, 1]);
    for (const { bytes } of streams.messages(0)) expect(bytes.length).toBeLessThan(BATCH_BYTES_MAX + 1_024);
  });

  it('keeps messages below the limit of records', async () => {
    const { streams, groupCommit } = await setUp();
    const parcel = Array.from({ length: 3_000 }, () => record('a'));
    const answers = await Promise.all(Array.from({ length: 3 }, () => groupCommit.submit(0, parcel)));
    expect(messages(streams).map((records) => records.length)).toEqual([6_000, 3_000]);
    expect(answers.map(placeOf)).toEqual([
      [1, 0],
      [1, 3_000],
      [2, 0],
    ]);
    expect(6_000).toBeLessThan(BATCH_RECORDS_MAX);
  });

  it('sends a parcel that is larger than a batch alone, rather than never', async () => {
    const { streams, groupCommit } = await setUp();
    await Promise.all([
      groupCommit.submit(0, [record('a')]),
      groupCommit.submit(0, [new Uint8Array(BATCH_BYTES_MAX + 1)]),
      groupCommit.submit(0, [record('b')]),
    ]);
    expect(messages(streams).map((records) => records.length)).toEqual([1, 1, 1]);
  });

  it('tells the caller when too much waits, keeps nothing of that, and is open again afterwards (I14)', async () => {
    const { streams, groupCommit } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const sent = [groupCommit.submit(0, [record('first')])];
    await hold.reached;
    const parcel = new Uint8Array(PARCEL_BYTES_MAX);
    const fitting = WAITING_BYTES_MAX / PARCEL_BYTES_MAX;
    for (let count = 0; count < fitting; count++) sent.push(groupCommit.submit(0, [parcel]));
    await expect(groupCommit.submit(0, [record('x')])).rejects.toBeInstanceOf(OverloadedError);
    await expect(groupCommit.submit(0, [record('x')])).rejects.toThrow(`${WAITING_BYTES_MAX} bytes`);
    // Another shard has its own room.
    const other = groupCommit.submit(1, [record('b')]);
    hold.release();
    await Promise.all([...sent, other]);
    await groupCommit.submit(0, [record('last')]);
    const all = messages(streams).flat();
    expect(all.length).toBe(fitting + 2);
    expect(all).not.toContain('x');
    expect(all.at(-1)).toBe('last');
  });

  it('answers every click once, with the place where it stands, whatever fails in between', async () => {
    const action = fc.oneof(
      fc.record({
        kind: fc.constant('submit' as const),
        shard: fc.nat({ max: SHARDS - 1 }),
        records: fc.nat({ max: 4 }),
      }),
      fc.record({ kind: fc.constant('turn' as const) }),
      fc.record({
        kind: fc.constant('fail' as const),
        border: fc.constantFrom('before' as const, 'after' as const),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const { streams, groupCommit } = await setUp();
        const submitted: { shard: number; texts: string[]; answer: Promise<Committed> }[] = [];
        for (const act of actions) {
          if (act.kind === 'turn') await turns(1);
          else if (act.kind === 'fail') streams.trouble.failNext('publish', act.border);
          else {
            const texts = Array.from({ length: act.records }, (_, index) => `${submitted.length}.${index}`);
            const answer = groupCommit.submit(act.shard, texts.map(record));
            answer.catch(() => undefined);
            submitted.push({ shard: act.shard, texts, answer });
          }
        }
        const outcomes = await Promise.allSettled(submitted.map(({ answer }) => answer));
        for (const [index, outcome] of outcomes.entries()) {
          const { shard, texts } = submitted[index] ?? { shard: 0, texts: [] };
          if (outcome.status === 'fulfilled' && outcome.value !== 'spooled') {
            const { sequence, firstIndex } = outcome.value;
            const message = messages(streams, shard)[sequence - 1] ?? [];
            expect(message.slice(firstIndex, firstIndex + texts.length)).toEqual(texts);
          }
        }
        for (let shard = 0; shard < SHARDS; shard++) {
          // In the order of the submissions, and none twice.
          const standing = messages(streams, shard).flat();
          expect(new Set(standing).size).toBe(standing.length);
          const order = submitted.filter((one) => one.shard === shard).flatMap(({ texts }) => texts);
          expect(standing).toEqual(order.filter((text) => standing.includes(text)));
        }
      }),
      { numRuns: 60 },
    );
  });
});
