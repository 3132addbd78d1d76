/** The routing table (I3): a click's shard never changes, whoever learns of an entry when. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import { type RoutingEntry, RoutingTable } from '../../src/domain/routingTable.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';

const SHARDS = 16;

function tableOf(...entries: RoutingEntry[]): RoutingTable {
  const table = RoutingTable.create(1, { kind: 'created', shards: SHARDS, rules: RULES });
  for (const entry of entries) table.append(table.sequence + 1, entry);
  return table;
}

/** A click whose impression was issued then, received a moment later. */
function clickAt(timeMs: number, number = 1, adId = 'ad-1'): ClickFacts {
  return factsOf({
    adId,
    clickId: uuid7At(timeMs, number),
    impressionId: uuid7At(timeMs, number),
    eventTimeMs: timeMs,
    receivedMs: timeMs,
  });
}

describe('a routing table', () => {
  it('starts with created and has no second one', () => {
    expect(() => RoutingTable.create(1, { kind: 'closed_until', untilMs: 1 })).toThrow(
      'starts with closed_until',
    );
    expect(() => tableOf({ kind: 'created', shards: 2, rules: RULES })).toThrow('second created');
  });

  it('takes entries only in their order', () => {
    const table = tableOf({ kind: 'closed_until', untilMs: 10 });
    expect(() => table.append(2, { kind: 'closed_until', untilMs: 20 })).toThrow('2 came after 2');
    expect(() => table.append(1, { kind: 'closed_until', untilMs: 20 })).toThrow('1 came after 2');
    expect([table.sequence, table.closedUntilMs]).toEqual([2, 10]);
    // Sequences may have holes: of closed_until only the newest is kept.
    table.append(9, { kind: 'closed_until', untilMs: 20 });
    expect([table.sequence, table.closedUntilMs]).toEqual([9, 20]);
  });

  it('never lowers closed_until', () => {
    expect(
      tableOf({ kind: 'closed_until', untilMs: 20 }, { kind: 'closed_until', untilMs: 10 }).closedUntilMs,
    ).toBe(20);
  });

  it.each<RoutingEntry>([
    { kind: 'shards', shards: 4, fromMs: NOON_MS - 1 },
    { kind: 'fan_out', adId: 'ad-1', fanOut: 2, fromMs: NOON_MS - 1 },
    { kind: 'rules', version: 2, fromMs: NOON_MS - 1 },
  ])('refuses an entry of $kind below closed_until, and is not changed by it', (entry) => {
    const table = tableOf({ kind: 'closed_until', untilMs: NOON_MS });
    expect(() => table.append(3, entry)).toThrow(`below closed_until ${NOON_MS}`);
    expect(table.sequence).toBe(2);
    expect(table.newestShards).toBe(SHARDS);
    expect(table.route(clickAt(NOON_MS))).toBe(tableOf().route(clickAt(NOON_MS)));
    table.append(3, { ...entry, fromMs: NOON_MS } as RoutingEntry);
  });

  it('knows how many shards the newest entry asks for', () => {
    expect(tableOf().newestShards).toBe(SHARDS);
    expect(tableOf({ kind: 'shards', shards: 32, fromMs: NOON_MS }).newestShards).toBe(32);
  });

  it('knows of each ad the newest fan-out, where it is spread at a time, and how many entries there were', () => {
    const table = tableOf(
      { kind: 'fan_out', adId: 'ad-1', fanOut: 4, fromMs: NOON_MS },
      { kind: 'fan_out', adId: 'ad-2', fanOut: 2, fromMs: NOON_MS + 10 },
      { kind: 'fan_out', adId: 'ad-1', fanOut: 1, fromMs: NOON_MS + 20 },
    );
    expect(table.newestFanOut('ad-1')).toEqual({ fanOut: 1, fromMs: NOON_MS + 20 });
    expect(table.newestFanOut('ad-3')).toEqual({ fanOut: 1, fromMs: -1 });
    expect([...table.spreadAds]).toEqual(['ad-2']);
    expect([NOON_MS - 1, NOON_MS, NOON_MS + 20].map((since) => table.fanOutsSince(since))).toEqual([3, 2, 0]);
    expect(table.fanOutsOfAdSince('ad-1', NOON_MS - 1)).toBe(2);
    const [home = 0] = table.shardsAt('ad-1', NOON_MS - 1);
    expect(table.shardsAt('ad-1', NOON_MS)).toEqual([0, 1, 2, 3].map((sub) => (home + sub) % SHARDS));
    expect(table.shardsAt('ad-1', NOON_MS + 20)).toEqual([home]);
    const taken = Array.from({ length: 100 }, (_, number) => table.route(clickAt(NOON_MS + 5, number)));
    expect(new Set(taken)).toEqual(new Set(table.shardsAt('ad-1', NOON_MS + 5)));
  });

  it('refuses rules that this release does not know', () => {
    const rules = { ...RULES, version: 99 };
    expect(() => RoutingTable.create(1, { kind: 'created', shards: 1, rules })).toThrow('rule set 99');
    const table = tableOf();
    expect(() => table.append(2, { kind: 'rules', version: 99, fromMs: NOON_MS })).toThrow('rule set 99');
    expect([table.sequence, table.adoptedRules]).toEqual([1, []]);
  });

  it('judges by the rules in force at the time of the click_id, not of the impression or the event', () => {
    const table = tableOf(
      { kind: 'rules', version: 2, fromMs: NOON_MS },
      { kind: 'rules', version: 1, fromMs: NOON_MS + 10 },
    );
    const versionAt = (clickMs: number) =>
      table.rulesOf(
        factsOf({ clickId: uuid7At(clickMs), impressionId: uuid7At(NOON_MS - 1), eventTimeMs: NOON_MS - 1 }),
      ).version;
    expect([-1, 0, 9, 10].map((offset) => versionAt(NOON_MS + offset))).toEqual([1, 2, 2, 1]);
    expect(table.rulesOf(clickAt(NOON_MS))).toEqual({ ...RULES, version: 2 });
  });

  it('needs closed_until beyond both times of a click', () => {
    const table = tableOf();
    const early = uuid7At(NOON_MS - 5, 1);
    const late = uuid7At(NOON_MS, 1);
    expect(table.neededClosedUntilMs(factsOf({ clickId: late, impressionId: early }))).toBe(NOON_MS + 1);
    expect(table.neededClosedUntilMs(factsOf({ clickId: early, impressionId: late }))).toBe(NOON_MS + 1);
    expect(table.neededClosedUntilMs(factsOf({ clickId: late, impressionId: undefined }))).toBe(NOON_MS + 1);
  });
});

describe('a route', () => {
  const change = fc.oneof(
    fc.record({
      kind: fc.constant('shards' as const),
      shards: fc.integer({ min: 1, max: 40 }),
      ahead: fc.nat({ max: 3_000 }),
    }),
    fc.record({
      kind: fc.constant('fan_out' as const),
      adId: fc.constantFrom('ad-1', 'ad-2'),
      fanOut: fc.constantFrom(1, 2, 4, 8),
      ahead: fc.nat({ max: 3_000 }),
    }),
    fc.record({ kind: fc.constant('closed_until' as const), ahead: fc.nat({ max: 3_000 }) }),
  );

  it('of a click below closed_until is the same for ever, whatever is appended later', () => {
    const clicks = Array.from({ length: 60 }, (_, number) =>
      clickAt(NOON_MS + number * 150, number, number % 3 === 0 ? 'ad-2' : 'ad-1'),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 14 }), (changes) => {
        const table = tableOf({ kind: 'closed_until', untilMs: NOON_MS });
        const published = new Map<ClickFacts, number>();
        const publishAndCheck = () => {
          for (const click of clicks) {
            if (table.neededClosedUntilMs(click) > table.closedUntilMs) continue;
            const before = published.get(click);
            const shard = table.route(click);
            expect(shard).toBe(before ?? shard);
            published.set(click, shard);
          }
        };
        for (const { ahead, ...entry } of changes) {
          const momentMs = table.closedUntilMs + ahead;
          table.append(
            table.sequence + 1,
            entry.kind === 'closed_until' ? { ...entry, untilMs: momentMs } : { ...entry, fromMs: momentMs },
          );
          publishAndCheck();
        }
      }),
    );
  });

  it('takes effect at its own moment, for the whole of it', () => {
    const table = tableOf({ kind: 'shards', shards: 1, fromMs: NOON_MS });
    const routes = (timeMs: number) =>
      new Set(Array.from({ length: 50 }, (_, ad) => table.route(clickAt(timeMs, 1, `ad-${ad}`))));
    expect(routes(NOON_MS - 1).size).toBeGreaterThan(8);
    expect(routes(NOON_MS)).toEqual(new Set([0]));
  });

  it('goes by the later of two entries for one moment', () => {
    const table = tableOf(
      { kind: 'shards', shards: 40, fromMs: NOON_MS },
      { kind: 'shards', shards: 1, fromMs: NOON_MS },
    );
    expect(table.route(clickAt(NOON_MS))).toBe(0);
  });

  it('does not go back to an entry that a later one has replaced from an earlier moment on', () => {
    const table = tableOf(
      { kind: 'shards', shards: 40, fromMs: NOON_MS + 1_000 },
      { kind: 'shards', shards: 1, fromMs: NOON_MS },
    );
    expect(table.route(clickAt(NOON_MS + 1_000))).toBe(0);
    // It takes effect where that one would have, not before.
    expect(table.route(clickAt(NOON_MS + 999))).toBe(tableOf().route(clickAt(NOON_MS)));
  });

  it('of a click from the future goes by the first entry, so it can neither wait nor be moved', () => {
    const future = factsOf({ ...clickAt(NOON_MS + RULES.maxFutureSkewMs + 1), receivedMs: NOON_MS });
    const table = tableOf();
    expect(table.isFromTheFuture(future)).toBe(true);
    expect(table.isFromTheFuture({ ...future, receivedMs: NOON_MS + 1 })).toBe(false);
    const route = table.route(future);
    // Such a click needs no closed_until, so it may be published before any of these.
    table.append(2, { kind: 'shards', shards: 1, fromMs: 0 });
    table.append(3, { kind: 'fan_out', adId: 'ad-1', fanOut: 8, fromMs: 0 });
    expect(route).not.toBe(0);
    expect(table.route(future)).toBe(route);
    const withImpression = { ...future, clickId: uuid7At(NOON_MS) };
    expect(table.isFromTheFuture(withImpression)).toBe(true);
    expect(table.route(withImpression)).toBe(route);
  });

  it('lies below the number of shards, and spreads ads evenly', () => {
    const table = tableOf();
    const hits = new Array<number>(SHARDS).fill(0);
    for (let ad = 0; ad < 1_600; ad++) {
      const shard = table.route(clickAt(NOON_MS, 1, `ad-${ad}`));
      hits[shard] = (hits[shard] ?? 0) + 1;
    }
    expect(hits.length).toBe(SHARDS);
    for (const hit of hits) expect(hit).toBeGreaterThan(50);
  });

  it('keeps all clicks of an ad on one shard, and all clicks of an impression on one sub-shard', () => {
    const one = tableOf();
    expect(new Set(Array.from({ length: 50 }, (_, number) => one.route(clickAt(NOON_MS, number)))).size).toBe(
      1,
    );
    const many = tableOf({ kind: 'fan_out', adId: 'ad-1', fanOut: 8, fromMs: 0 });
    const impressionId = uuid7At(NOON_MS, 3);
    const routes = Array.from({ length: 50 }, (_, number) =>
      many.route({ ...clickAt(NOON_MS, number), impressionId }),
    );
    expect(new Set(routes).size).toBe(1);
  });

  it('of a hot ad spreads over just its fan-out, next to its own shard; other ads stay', () => {
    const before = tableOf();
    for (const fanOut of [2, 4, 8]) {
      const table = tableOf({ kind: 'fan_out', adId: 'ad-1', fanOut, fromMs: 0 });
      const home = before.route(clickAt(NOON_MS));
      const routes = new Set(
        Array.from({ length: 200 }, (_, number) => table.route(clickAt(NOON_MS, number))),
      );
      expect([...routes].sort()).toEqual(
        Array.from({ length: fanOut }, (_, offset) => (home + offset) % SHARDS).sort(),
      );
      expect(table.route(clickAt(NOON_MS, 1, 'ad-2'))).toBe(before.route(clickAt(NOON_MS, 1, 'ad-2')));
    }
  });

  it('of an ad with more fan-out than there are shards still lies on a shard', () => {
    const table = tableOf(
      { kind: 'shards', shards: 3, fromMs: 0 },
      { kind: 'fan_out', adId: 'ad-1', fanOut: 8, fromMs: 0 },
    );
    const routes = new Set(Array.from({ length: 100 }, (_, number) => table.route(clickAt(NOON_MS, number))));
    expect([...routes].sort()).toEqual([0, 1, 2]);
  });

  it('is the one by which clicks lie on their streams already: another seed would misroute them all', () => {
    const table = tableOf();
    const routes = Array.from({ length: 12 }, (_, ad) => table.route(factsOf({ adId: `ad-${ad}` })));
    expect(routes).toEqual([12, 11, 10, 10, 2, 11, 15, 9, 0, 14, 8, 14]);
    table.append(2, { kind: 'fan_out', adId: 'ad-1', fanOut: 4, fromMs: 0 });
    const spread = Array.from({ length: 12 }, (_, number) =>
      table.route(factsOf({ impressionId: uuid7At(NOON_MS, number) })),
    );
    expect(spread).toEqual([13, 13, 13, 11, 11, 12, 14, 11, 11, 11, 12, 12]);
  });
});

describe("an ad's shards", () => {
  it('are just those to which its clicks can be led, whatever entries there are', () => {
    const entry = fc.oneof(
      fc.record({ kind: fc.constant('shards' as const), shards: fc.integer({ min: 1, max: 40 }) }),
      fc.record({
        kind: fc.constant('fan_out' as const),
        fanOut: fc.integer({ min: 1, max: 50 }),
        adId: fc.constantFrom('ad-1', 'ad-2'),
      }),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), fc.integer({ min: 0, max: 1e6 }), (entries, first) => {
        const table = tableOf(...entries.map((one, step) => ({ ...one, fromMs: NOON_MS + step })));
        const shards = table.shardsOf('ad-1');
        expect(shards).toEqual([...new Set(shards)].sort((left, right) => left - right));
        for (let number = first; number < first + 60; number++)
          expect(shards).toContain(table.route(clickAt(NOON_MS - 2 + (number % 9), number)));
      }),
    );
  });

  it('are all of them reached by enough clicks, and one where nothing is spread', () => {
    expect(tableOf().shardsOf('ad-1')).toEqual([tableOf().route(clickAt(NOON_MS))]);
    const spread = tableOf({ kind: 'fan_out', adId: 'ad-1', fanOut: 5, fromMs: NOON_MS });
    const reached = new Set(
      Array.from({ length: 500 }, (_, number) => spread.route(clickAt(NOON_MS, number))),
    );
    expect(spread.shardsOf('ad-1')).toEqual([...reached].sort((left, right) => left - right));
    expect(spread.shardsOf('ad-2')).toHaveLength(1);
  });
});
