/** Which clicks may be published when (I3), and where they stand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { Position } from '../../src/domain/position.ts';
import { CLOSED_UNTIL_AHEAD_MS } from '../../src/domain/routingTable.ts';
import type { Durable } from '../../src/gateway/clickLog.ts';
import { PARCEL_BYTES_MAX } from '../../src/gateway/parcels.ts';
import { OverloadedError, UnavailableError } from '../../src/gateway/unavailable.ts';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { type MemoryRoutingLog, MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns } from '../support/until.ts';

const SHARDS = 8;

async function setUp(routingStream = new MemoryRoutingStream(SHARDS, RULES)) {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(SHARDS * 2);
  const log = new SilentLog();
  const open = async () => {
    const routing = routingStream.open();
    return { routing, ...(await clickPathOver(streams, routing, { log })) };
  };
  return { streams, log, routingStream, open, ...(await open()) };
}

/** The places of clicks that are all on the streams. */
function positionsOf(durable: readonly Durable[]): Position[] {
  return durable.map((one) => {
    if (one === 'spooled') throw new Error('a click is in the spool');
    return one;
  });
}

/** A click whose UUIDs are of this time, received then. */
function clickAt(timeMs: number, number = 1, changes: Partial<ClickRecord> = {}): ClickRecord {
  return recordOf({
    clickId: uuid7At(timeMs, number),
    impressionId: uuid7At(timeMs, number),
    eventTimeMs: timeMs,
    receivedMs: timeMs,
    ...changes,
  });
}

function published(streams: MemoryStreams): number {
  let records = 0;
  for (let shard = 0; shard < SHARDS; shard++)
    for (const { bytes } of streams.messages(shard)) records += decodeClickBatch(bytes)?.records.length ?? 0;
  return records;
}

/** How often the table's stream was asked to take an entry. */
function countAppends(routing: MemoryRoutingLog): () => number {
  let appends = 0;
  routing.trouble.decide = (operation, border) => {
    if (operation === 'append' && border === 'before') appends += 1;
  };
  return () => appends;
}

describe('positions', () => {
  it('say where each click of a call stands, in the order of the call', async () => {
    const { streams, clickLog, routing } = await setUp();
    const clicks = Array.from({ length: 40 }, (_, number) =>
      clickAt(NOON_MS, number, { adId: `ad-${number % 7}` }),
    );
    const [first = [], ...others] = (
      await Promise.all([clickLog.append(clicks), clickLog.append(clicks.slice(0, 3))])
    ).map(positionsOf);
    expect(others[0]?.length).toBe(3);
    for (const [index, click] of clicks.entries()) {
      const position = first[index];
      expect(position?.shard).toBe(routing.table.route(click));
      const message = streams.messages(position?.shard ?? -1)[(position?.sequence ?? 0) - 1];
      const standing = decodeClickBatch(message?.bytes ?? new Uint8Array())?.records[position?.index ?? -1];
      expect(standing?.facts?.clickId.toHex()).toBe(click.clickId.toHex());
      expect(position?.incarnation).toBe(`made-${(position?.shard ?? 0) + 1}`);
    }
  });

  it('are those of clicks that came alone and left together', async () => {
    const { streams, clickLog } = await setUp();
    const clicks = [1, 2, 3].map((number) => clickAt(NOON_MS, number));
    // The first raises closed_until.
    await clickLog.append([clickAt(NOON_MS, 0)]);
    const appended = await Promise.all(clicks.map((click) => clickLog.append([click])));
    for (const [number, click] of clicks.entries()) {
      const [position] = positionsOf(appended[number] ?? []);
      expect(position).toMatchObject({ sequence: 2, index: number });
      const message = streams.messages(position?.shard ?? -1)[1];
      const standing = decodeClickBatch(message?.bytes ?? new Uint8Array())?.records[number];
      expect(standing?.facts?.clickId.toHex()).toBe(click.clickId.toHex());
    }
  });

  it('are none for no clicks', async () => {
    const { streams, clickLog } = await setUp();
    expect(await clickLog.append([])).toEqual([]);
    expect(published(streams)).toBe(0);
  });

  it('are right for clicks that together are larger than a message', async () => {
    const { streams, clickLog } = await setUp();
    const clicks = Array.from({ length: 40 }, (_, number) =>
      clickAt(NOON_MS, number, { referrer: 'r'.repeat(20_000) }),
    );
    const positions = positionsOf(await clickLog.append(clicks));
    expect(new Set(positions.map(({ sequence, index }) => `${sequence} ${index}`)).size).toBe(40);
    expect(streams.messages(positions[0]?.shard ?? 0).length).toBeGreaterThan(1);
    for (const { bytes } of streams.messages(positions[0]?.shard ?? 0))
      expect(bytes.length).toBeLessThan(512 * 1024 + PARCEL_BYTES_MAX);
  });
});

describe('closed_until', () => {
  it('is raised, a minute ahead, before a click beyond it is published', async () => {
    const { streams, clickLog, routing } = await setUp();
    const hold = routing.trouble.hold('append', 'before');
    const appended = clickLog.append([clickAt(NOON_MS)]);
    await hold.reached;
    await turns();
    expect(published(streams)).toBe(0);
    hold.release();
    await appended;
    expect(routing.table.closedUntilMs).toBe(NOON_MS + 1 + CLOSED_UNTIL_AHEAD_MS);
    expect(published(streams)).toBe(1);
  });

  it('is raised once a minute, not once a click', async () => {
    const { clickLog, routing } = await setUp();
    const appends = countAppends(routing);
    for (let second = 0; second < 120; second++)
      await clickLog.append([clickAt(NOON_MS + second * 1_000, second)]);
    await turns();
    expect(appends()).toBeGreaterThanOrEqual(3);
    expect(appends()).toBeLessThanOrEqual(5);
  });

  it('is raised early in the background: clicks below it do not wait', async () => {
    const { streams, clickLog, routing } = await setUp();
    await clickLog.append([clickAt(NOON_MS)]);
    const hold = routing.trouble.hold('append', 'before');
    await clickLog.append([clickAt(NOON_MS + CLOSED_UNTIL_AHEAD_MS / 2 + 1_000, 2)]);
    expect(published(streams)).toBe(2);
    await hold.reached;
    hold.release();
    await turns();
    expect(routing.table.closedUntilMs).toBeGreaterThan(NOON_MS + CLOSED_UNTIL_AHEAD_MS * 1.5);
  });

  it('that cannot be raised early is only logged, and tried again', async () => {
    const { streams, clickLog, routing, log } = await setUp();
    await clickLog.append([clickAt(NOON_MS)]);
    routing.trouble.failNext('append', 'before');
    const laterMs = NOON_MS + CLOSED_UNTIL_AHEAD_MS / 2 + 1_000;
    await clickLog.append([clickAt(laterMs, 2)]);
    await turns();
    expect(log.lines.map(({ level }) => level)).toEqual(['warn']);
    await clickLog.append([clickAt(laterMs, 3)]);
    await turns();
    expect(published(streams)).toBe(3);
    expect(routing.table.closedUntilMs).toBe(laterMs + 1 + CLOSED_UNTIL_AHEAD_MS);
  });

  it('is raised once for clicks that wait for it together', async () => {
    const { streams, clickLog, routing } = await setUp();
    const appends = countAppends(routing);
    await Promise.all(Array.from({ length: 50 }, (_, number) => clickLog.append([clickAt(NOON_MS, number)])));
    expect(appends()).toBe(1);
    expect(published(streams)).toBe(50);
  });

  it('is raised again for a click that needs more than the raise under way brings', async () => {
    const { clickLog, routing } = await setUp();
    const farMs = NOON_MS + 10 * CLOSED_UNTIL_AHEAD_MS;
    await Promise.all([clickLog.append([clickAt(NOON_MS)]), clickLog.append([clickAt(farMs, 2)])]);
    expect(routing.table.closedUntilMs).toBe(farMs + 1 + CLOSED_UNTIL_AHEAD_MS);
  });

  it('is tried again where another gateway was faster, and not where that one brought enough', async () => {
    const { streams, clickLog, routing, open } = await setUp();
    const other = await open();
    const hold = routing.trouble.hold('append', 'before');
    const appended = clickLog.append([clickAt(NOON_MS)]);
    await hold.reached;
    await other.clickLog.append([clickAt(NOON_MS - 20 * CLOSED_UNTIL_AHEAD_MS, 2)]);
    hold.release();
    await appended;
    expect(routing.table.sequence).toBe(3);
    expect(published(streams)).toBe(2);
    // The other one learns of it by reading, without an entry of its own.
    const appends = countAppends(other.routing);
    await other.clickLog.append([clickAt(NOON_MS, 3)]);
    expect(other.routing.table.sequence).toBe(3);
    expect(appends()).toBe(0);
  });

  it('cannot be pushed ahead by a click from the future, which goes by the first entry', async () => {
    const { clickLog, routing, streams } = await setUp();
    await clickLog.append([clickAt(NOON_MS)]);
    const before = routing.table.closedUntilMs;
    const yearMs = 365 * 86_400_000;
    const future = clickAt(NOON_MS + yearMs, 2, { receivedMs: NOON_MS });
    const impressionOnly = clickAt(NOON_MS, 3, { impressionId: uuid7At(NOON_MS + yearMs, 3) });
    const positions = positionsOf(await clickLog.append([future, impressionOnly]));
    await turns();
    expect(routing.table.closedUntilMs).toBe(before);
    expect(published(streams)).toBe(3);
    const first = (await setUp()).routing.table;
    expect(positions.map(({ shard }) => shard)).toEqual([first.route(future), first.route(impressionOnly)]);
  });

  it('that cannot be raised sends clicks to the spool, unrouted; the next click tries anew', async () => {
    const { streams, clickLog, routing, spool } = await setUp();
    routing.trouble.failNext('append', 'before');
    expect(await clickLog.append([clickAt(NOON_MS), clickAt(NOON_MS, 2)])).toEqual(['spooled', 'spooled']);
    expect(published(streams)).toBe(0);
    const segment = spool.next(0, new Set());
    const { entries } = await spool.read(segment ?? 0);
    expect(entries).toMatchObject([{ kind: 'unrouted', records: [{}, {}] }]);
    await clickLog.append([clickAt(NOON_MS)]);
    await turns();
    expect(positionsOf(await clickLog.append([clickAt(NOON_MS)])).length).toBe(1);
  });

  it('that could not be raised holds nobody up while it is tried again', async () => {
    const { clickLog, routing } = await setUp();
    routing.trouble.failNext('read', 'before');
    expect(await clickLog.append([clickAt(NOON_MS)])).toEqual(['spooled']);
    const hold = routing.trouble.hold('read', 'before');
    expect(await clickLog.append([clickAt(NOON_MS)])).toEqual(['spooled']);
    await hold.reached;
    hold.release();
    await turns();
    expect(positionsOf(await clickLog.append([clickAt(NOON_MS)])).length).toBe(1);
  });

  it('is waited for no longer than for an acknowledgement', async () => {
    const streams = new MemoryStreams(() => NOON_MS);
    streams.ensure(SHARDS);
    const routing = new MemoryRoutingStream(SHARDS, RULES).open();
    const { clickLog } = await clickPathOver(streams, routing, { publishTimeoutMs: 5 });
    const hold = routing.trouble.hold('read', 'before');
    expect(await clickLog.append([clickAt(NOON_MS)])).toEqual(['spooled']);
    // And nobody waits for it again until it has come.
    expect(await clickLog.append([clickAt(NOON_MS)])).toEqual(['spooled']);
    hold.release();
    await turns();
    expect(positionsOf(await clickLog.append([clickAt(NOON_MS)])).length).toBe(1);
  });

  it('lets clicks below it go on while it cannot be raised', async () => {
    const { clickLog, routing } = await setUp();
    await clickLog.append([clickAt(NOON_MS)]);
    routing.trouble.failNext('read', 'before', Infinity);
    const beyond = clickAt(NOON_MS + 10 * CLOSED_UNTIL_AHEAD_MS, 2);
    const durable = await clickLog.append([clickAt(NOON_MS, 3), beyond, clickAt(NOON_MS, 4)]);
    expect(durable.map((one) => one === 'spooled')).toEqual([false, true, false]);
  });

  it('may have been raised although the answer was lost: the next try reads it', async () => {
    const { streams, clickLog, routing } = await setUp();
    routing.trouble.failNext('append', 'after');
    await clickLog.append([clickAt(NOON_MS)]);
    await clickLog.append([clickAt(NOON_MS)]);
    await turns();
    await clickLog.append([clickAt(NOON_MS)]);
    expect(published(streams)).toBe(1);
    expect(routing.table.sequence).toBe(2);
  });
});

describe('a call of many clicks', () => {
  it('fails where one shard and the disk refuse, after all of them were heard', async () => {
    const streams = new MemoryStreams(() => NOON_MS);
    streams.ensure(SHARDS);
    const folder = new MemorySpoolFolder();
    const routing = new MemoryRoutingStream(SHARDS, RULES).open();
    const { clickLog } = await clickPathOver(streams, routing, { folder });
    const clicks = Array.from({ length: 30 }, (_, number) =>
      clickAt(NOON_MS, number, { adId: `ad-${number}` }),
    );
    await clickLog.append([clickAt(NOON_MS, 99)]);
    streams.trouble.failNext('publish', 'before');
    folder.trouble.failNext('append', 'before');
    await expect(clickLog.append(clicks)).rejects.toBeInstanceOf(UnavailableError);
    const standing = published(streams);
    expect(standing).toBeGreaterThan(1);
    expect(standing).toBeLessThan(31);
  });

  it('is told when too much waits', async () => {
    const { streams, clickLog } = await setUp();
    await clickLog.append([clickAt(NOON_MS, 0)]);
    const hold = streams.trouble.hold('publish', 'before');
    const first = clickLog.append([clickAt(NOON_MS, 1)]);
    await hold.reached;
    const large = Array.from({ length: 20 }, (_, number) =>
      clickAt(NOON_MS, number, { referrer: 'r'.repeat(1_000_000) }),
    );
    const overloaded = clickLog.append(large).catch((error: unknown) => error);
    await turns();
    hold.release();
    expect(await overloaded).toBeInstanceOf(OverloadedError);
    await first;
  });
});

describe('two gateways and an operator who changes the table', () => {
  it('never publish one identity to two shards', async () => {
    const action = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('click' as const),
          gateway: fc.nat({ max: 1 }),
          impression: fc.nat({ max: 5 }),
          ageMs: fc.nat({ max: 90_000 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('fan_out' as const),
          fanOut: fc.constantFrom(1, 2, 4),
          aheadMs: fc.nat({ max: 30_000 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('shards' as const),
          shards: fc.constantFrom(4, 8, 16),
          aheadMs: fc.nat({ max: 30_000 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.nat({ max: 60_000 }) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const world = await setUp();
        const gateways = [world, await world.open()];
        const operator = world.routingStream.open();
        const impressions = new Map<number, Uint8Array>();
        const shardOf = new Map<number, number>();
        let nowMs = NOON_MS;
        for (const [number, act] of actions.entries()) {
          if (act.kind === 'time') nowMs += act.ms;
          else if (act.kind === 'click') {
            const impressionId =
              impressions.get(act.impression) ?? uuid7At(nowMs - act.ageMs, act.impression);
            impressions.set(act.impression, impressionId);
            const click = clickAt(nowMs, number, { impressionId });
            const [position] = positionsOf((await gateways[act.gateway]?.clickLog.append([click])) ?? []);
            expect(position?.shard).toBe(shardOf.get(act.impression) ?? position?.shard);
            shardOf.set(act.impression, position?.shard ?? -1);
          } else {
            await operator.read();
            const { aheadMs, ...entry } = act;
            const fromMs = operator.table.closedUntilMs + aheadMs;
            await operator.append(
              entry.kind === 'shards' ? { ...entry, fromMs } : { ...entry, adId: 'ad-1', fromMs },
            );
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
