/**
 * Streams over a little ledger in memory, in a time of their own: what is told, to whom, how often, and what is left
 * when they have gone. Real PostgreSQL: test/adapters/postgres/readChanges.test.ts; real processes: test/e2e/streams.test.ts.
 */
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { StreamAggregatesResponse as Message } from '../../src/contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import type { LiveDelta, LiveRequest } from '../../src/domain/aggregates.ts';
import type { ChangedRows, ChangesAsked, StoredMinute } from '../../src/domain/changedRows.ts';
import type { Settlement } from '../../src/domain/settlement.ts';
import type { Timers } from '../../src/domain/timers.ts';
import { Follower } from '../../src/query/follower.ts';
import { streamAnswers } from '../../src/query/streamAnswers.ts';
import { NOON_MS } from '../support/clicks.ts';
import { SilentLog } from '../support/silentLog.ts';
import { UNSETTLED } from '../support/unsettled.ts';

const MINUTE_MS = 60_000;
const NOTHING = { repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };

/** Time that goes on only when everything waits for it. */
class VirtualTime implements Timers {
  nowMs = NOON_MS + 30 * MINUTE_MS;
  #waiting: { atMs: number; go: () => void }[] = [];

  pause(ms: number, stop?: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (stop?.aborted === true) return Promise.resolve();
    this.#waiting.push({ atMs: this.nowMs + ms, go: resolve });
    stop?.addEventListener('abort', () => resolve());
    return promise;
  }

  nextTurn(work: () => void): void {
    setImmediate(work);
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      this.#waiting.sort((left, right) => left.atMs - right.atMs);
      const [next] = this.#waiting;
      if (next === undefined || next.atMs > endMs) break;
      this.#waiting.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.go();
    }
    this.nowMs = endMs;
  }
}

/** One shard: what is stored, and what its owner has counted since. */
class World {
  readonly time = new VirtualTime();
  readonly log = new SilentLog();
  readonly #stored = new Map<string, StoredMinute & { at: number }>();
  #live = new Map<string, StoredMinute>();
  #floor = 0;
  #writes = 0;
  settlement: Settlement = UNSETTLED.settlement;
  isSilent = false;
  isAway = false;
  #clockBehindMs = 0;
  /** By how much the machine's clock is set back in the middle of the next reading. */
  setBackMs = 0;
  readings = 0;
  readonly follower = new Follower({
    readChanges: (asked) => this.#read(asked),
    askOwner: async (_owner, request) => (this.isSilent ? undefined : this.#answer(request)),
    timers: this.time,
    nowMs: () => this.time.nowMs - this.#clockBehindMs,
    log: this.log,
  });
  readonly stream = streamAnswers({
    follower: this.follower,
    timers: this.time,
    nowMs: () => this.time.nowMs - this.#clockBehindMs,
    run: 'this one',
  });

  click(adId: string, minute: number, clicks = 1): void {
    const key = `${adId} ${minute}`;
    const before = this.#live.get(key)?.valid ?? 0;
    this.#live.set(key, {
      adId,
      minute: NOON_MS + minute * MINUTE_MS,
      revision: 0,
      valid: before + clicks,
      ...NOTHING,
    });
  }

  flush(): void {
    for (const row of this.#live.values()) this.#write(row, row.valid, 0);
    this.#live = new Map();
    this.#floor += 1;
  }

  restate(adId: string, minute: number, difference: number): void {
    this.#write({ adId, minute: NOON_MS + minute * MINUTE_MS }, difference, 1);
  }

  /** PostgreSQL comes back with an earlier state, and numbers its transactions anew. */
  goBack(): void {
    this.#stored.clear();
    this.#writes = 0;
  }

  /** What a dashboard of this ad must show, by minute. */
  truth(adId: string): Map<number, number> {
    const found = new Map<number, number>();
    for (const row of [...this.#stored.values(), ...this.#live.values()]) {
      if (row.adId !== adId) continue;
      const minute = (row.minute - NOON_MS) / MINUTE_MS;
      found.set(minute, (found.get(minute) ?? 0) + row.valid);
    }
    return found;
  }

  #write({ adId, minute }: Pick<StoredMinute, 'adId' | 'minute'>, clicks: number, revisions: number): void {
    this.#writes += 1;
    const key = `${adId} ${minute}`;
    const { valid = 0, revision = 0 } = this.#stored.get(key) ?? {};
    this.#stored.set(key, {
      adId,
      minute,
      valid: valid + clicks,
      revision: revision + revisions,
      ...NOTHING,
      at: this.#writes,
    });
  }

  async #read({ fresh, known, mark }: ChangesAsked): Promise<ChangedRows> {
    this.readings += 1;
    this.#clockBehindMs += this.setBackMs;
    this.setBackMs = 0;
    if (this.isAway) throw new Error('away');
    const isAsked = ({ adId, minute, at }: StoredMinute & { at: number }) =>
      fresh.some((ad) => ad.adId === adId && minute >= ad.fromMs) ||
      known.some((ad) => ad.adId === adId && minute >= ad.fromMs && at > mark.transaction);
    return {
      rows: [...this.#stored.values()].filter(isAsked),
      differing: [],
      settlement: this.settlement,
      checkpoints: [
        { shard: 0, owner: 'one', epoch: 1, claim: 'claim', floor: this.#floor, arrivedThroughMs: 1 },
      ],
      mark: { transaction: this.#writes, counted: `${this.#writes}`, floors: [this.#floor] },
      isSetBack: false,
    };
  }

  #answer({ adIds, fromMs }: LiveRequest): LiveDelta[] {
    const rows = [...this.#live.values()].filter(
      ({ adId, minute }) => adIds?.includes(adId) && minute >= fromMs,
    );
    return [
      { shard: 0, epoch: 1, claim: 'claim', floor: this.#floor, arrivedThroughMs: 2, rows, rollups: [] },
    ];
  }
}

/** A reader that takes what it is told as fast as it comes, or only when it is asked to. */
class Reader {
  readonly messages: (Message & { atMs: number })[] = [];
  readonly shown = new Map<string, Map<number, number>>();
  readonly #end = new AbortController();
  readonly #parts: AsyncIterator<Message>;
  error: unknown;

  constructor(world: World, adIds: readonly string[], { from = 0, token = '', reads = true } = {}) {
    const request = { ad_ids: [...adIds], from_ms: NOON_MS + from * MINUTE_MS, resume_token: token };
    this.#parts = world.stream(request, this.#end.signal)[Symbol.asyncIterator]();
    onTestFinished(() => this.end());
    if (reads) void this.#readOn(world);
  }

  get token(): string {
    return this.messages.at(-1)?.resume_token ?? '';
  }

  async take(world: World): Promise<void> {
    const { value, done } = await this.#parts.next();
    if (done === true) return;
    this.messages.push({ ...value, atMs: world.time.nowMs });
    if (value.snapshot === true) this.shown.clear();
    for (const { ad_id = '', from_ms, metrics } of value.rows ?? []) {
      const minutes = this.shown.get(ad_id) ?? new Map<number, number>();
      this.shown.set(ad_id, minutes.set((Number(from_ms) - NOON_MS) / MINUTE_MS, Number(metrics?.clicks)));
    }
  }

  end(): void {
    this.#end.abort();
    void this.#parts.return?.();
  }

  async #readOn(world: World): Promise<void> {
    try {
      while (!this.#end.signal.aborted) await this.take(world);
    } catch (error) {
      this.error = error;
    }
  }
}

describe('a stream', () => {
  test('tells everything, then minutes that changed, whole; a flush alone changes nothing', async () => {
    const world = new World();
    world.click('a', 0, 5);
    world.flush();
    world.click('a', 1);
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    expect(reader.messages).toMatchObject([
      { snapshot: true, info: { partial: false, arrived_through_ms: 2 } },
    ]);
    expect(reader.shown.get('a')).toEqual(
      new Map([
        [0, 5],
        [1, 1],
      ]),
    );
    world.click('a', 1);
    world.click('b', 1);
    await world.time.pass(1_500);
    expect(reader.messages[1]).toMatchObject({
      snapshot: false,
      rows: [{ metrics: { clicks: 2 }, status: 'PROVISIONAL' }],
    });
    world.flush();
    await world.time.pass(2_000);
    expect(reader.messages).toHaveLength(2);
    world.restate('a', 0, -2);
    await world.time.pass(1_500);
    expect(reader.messages[2]).toMatchObject({
      rows: [{ from_ms: NOON_MS, metrics: { clicks: 3 }, revision: 1 }],
    });
    const settledMs = NOON_MS + MINUTE_MS;
    world.settlement = {
      watchedThroughMs: settledMs,
      settledThroughMs: settledMs,
      closedThroughMs: -Infinity,
    };
    await world.time.pass(1_500);
    expect(reader.messages[3]).toMatchObject({
      rows: [{ from_ms: NOON_MS, status: 'SETTLED' }],
      info: { settled_through_ms: settledMs },
    });
    // I13: what comes for it now waits for its restatement.
    world.click('a', 0);
    await world.time.pass(2_000);
    expect(reader.shown.get('a')?.get(0)).toBe(3);
  });

  test('shows what is true whatever happens, at most a message a second, to slow readers and fast ones', async () => {
    const ad = fc.constantFrom('a', 'b');
    const minute = fc.nat(4);
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('click' as const), ad, minute) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('flush' as const), ad, minute) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('restate' as const), ad, minute) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('away' as const), ad, minute) },
      { weight: 4, arbitrary: fc.tuple(fc.constant('pass' as const), ad, fc.nat(3)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('resume' as const), ad, minute) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const world = new World();
        let [reader, slow] = [new Reader(world, ['a', 'b']), new Reader(world, ['b'], { reads: false })];
        const first = slow.take(world);
        first.catch(() => undefined);
        for (const [kind, adId, number] of actions) {
          if (kind === 'click') world.click(adId, number);
          else if (kind === 'flush') world.flush();
          else if (kind === 'restate') world.restate(adId, number, 10);
          else if (kind === 'away') world.isAway = !world.isAway;
          else if (kind === 'pass') await world.time.pass(number * 400);
          else if (reader.token !== '' && reader.error === undefined) {
            const { shown, token } = reader;
            reader.end();
            reader = new Reader(world, ['a', 'b'], { token });
            for (const [ad_id, minutes] of shown) reader.shown.set(ad_id, minutes);
          }
        }
        world.isAway = false;
        world.flush();
        await world.time.pass(4_000);
        const hasBegun = reader.error === undefined;
        if (!hasBegun) reader = new Reader(world, ['a', 'b']);
        await world.time.pass(4_000);
        for (const adId of ['a', 'b']) expect(reader.shown.get(adId) ?? new Map()).toEqual(world.truth(adId));
        for (const [place, { atMs }] of reader.messages.entries())
          expect(atMs - (reader.messages[place - 1]?.atMs ?? -Infinity)).toBeGreaterThanOrEqual(1_000);
        const begun = await first.then(
          () => true,
          () => false,
        );
        if (begun) {
          // Everything since its first message comes at once, merged.
          const second = slow.take(world);
          await world.time.pass(6_000);
          await second;
          expect(slow.shown.get('b') ?? new Map()).toEqual(world.truth('b'));
          expect(slow.messages).toHaveLength(2);
        }
        reader.end();
        slow.end();
        world.follower.stop();
      }),
      { numRuns: 150 },
    );
  });

  test('tells what comes, and how fresh it is, though the clock is set back by an hour', async () => {
    const world = new World();
    world.click('a', 0);
    const reader = new Reader(world, ['a']);
    await world.time.pass(1_500);
    world.setBackMs = 3_600_000;
    await world.time.pass(1_500);
    world.click('a', 1);
    await world.time.pass(2_500);
    expect(reader.shown.get('a')).toEqual(world.truth('a'));
    const told = reader.messages.length;
    world.setBackMs = 3_600_000;
    await world.time.pass(6_500);
    expect(reader.messages.length).toBeGreaterThan(told);
    for (const [place, { atMs }] of reader.messages.entries())
      expect(atMs - (reader.messages[place - 1]?.atMs ?? -Infinity)).toBeGreaterThanOrEqual(1_000);
  });

  test('keeps what a silent owner said of the same checkpoint, and says that it is partial', async () => {
    const world = new World();
    world.click('a', 0, 7);
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    world.isSilent = true;
    await world.time.pass(2_000);
    expect(reader.shown.get('a')).toEqual(new Map([[0, 7]]));
    expect(reader.messages.at(-1)).toMatchObject({ rows: [], info: { partial: true, missing_shards: [0] } });
    world.isSilent = false;
    await world.time.pass(2_000);
    expect(reader.messages.at(-1)?.info?.partial).toBe(false);
  });

  test('that goes on from its token gets what it missed; with other ads, or too late, everything', async () => {
    const world = new World();
    world.click('a', 0);
    world.click('a', 1);
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    reader.end();
    world.click('a', 1);
    await world.time.pass(30_000);
    const again = new Reader(world, ['a'], { token: reader.token });
    await world.time.pass(2_000);
    expect(again.messages[0]).toMatchObject({ snapshot: false, rows: [{ metrics: { clicks: 2 } }] });
    again.end();
    const earlier = new Reader(world, ['a'], { token: again.token, from: -1 });
    const other = new Reader(world, ['a', 'b'], { token: again.token });
    await world.time.pass(2_000);
    expect([earlier.messages[0]?.snapshot, other.messages[0]?.snapshot]).toEqual([true, true]);
    for (const one of [earlier, other]) one.end();
    await world.time.pass(65_000);
    const late = new Reader(world, ['a'], { token: again.token });
    await world.time.pass(2_000);
    expect(late.messages[0]).toMatchObject({ snapshot: true, rows: [{}, {}] });
  });

  test('leaves nothing behind: a minute later nobody is asked any more', async () => {
    const world = new World();
    const readers = Array.from({ length: 20 }, (_, index) => new Reader(world, ['a', `ad-${index}`]));
    await world.time.pass(2_000);
    // All of them share one reading a second.
    expect(world.readings).toBeLessThan(8);
    for (const reader of readers) reader.end();
    await world.time.pass(65_000);
    const { readings } = world;
    expect(world.follower.adsWith([])).toBe(0);
    await world.time.pass(60_000);
    expect(world.readings).toBe(readings);
  });

  test('that begins while PostgreSQL is away is told so; one that had begun goes on when it is back', async () => {
    const world = new World();
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    world.isAway = true;
    const other = new Reader(world, ['b']);
    await world.time.pass(5_000);
    expect(other.error).toMatchObject({ code: status.UNAVAILABLE });
    world.click('a', 0);
    world.isAway = false;
    await world.time.pass(2_000);
    expect(reader.shown.get('a')).toEqual(new Map([[0, 1]]));
    expect(reader.error).toBeUndefined();
  });

  test('reads everything anew when PostgreSQL was away: it may have come back with an earlier state', async () => {
    const world = new World();
    for (const minute of [0, 1, 2]) {
      world.click('a', minute, 9);
      world.flush();
    }
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    world.isAway = true;
    await world.time.pass(2_000);
    world.goBack();
    world.click('a', 1, 3);
    world.flush();
    world.isAway = false;
    await world.time.pass(2_000);
    expect(reader.shown.get('a')).toEqual(
      new Map([
        [0, 0],
        [1, 3],
        [2, 0],
      ]),
    );
  });

  test('tells of minutes of the last two days, and lets go of older ones', async () => {
    const world = new World();
    world.click('a', 0);
    const reader = new Reader(world, ['a']);
    await world.time.pass(300);
    world.time.nowMs += 48 * 60 * MINUTE_MS;
    await world.time.pass(2_000);
    world.restate('a', 0, 5);
    world.restate('a', 60, 5);
    await world.time.pass(2_000);
    expect(reader.shown.get('a')).toEqual(
      new Map([
        [0, 1],
        [60, 5],
      ]),
    );
  });

  test.each<[string, string[], number, RegExp]>([
    ['no ads', [], 0, /^ad_ids must have 1 to 100 entries, it has 0$/],
    ['too many ads', Array.from({ length: 101 }, (_, ad) => `${ad}`), 0, /it has 101$/],
    ['an ad twice', ['a', 'a'], 0, /^ad_ids "a" stands there twice$/],
    ['an ad that cannot be', [''], 0, /^ad_ids "" is wrong/],
    ['a time off the minute', ['a'], 0.5, /^from_ms \d+ is wrong: .*multiple of 60000/],
    ['a time too long ago', ['a'], -2_900, /^from_ms \d+ is wrong: it must be at most 2 days ago/],
    ['a time ahead', ['a'], 31, /^from_ms \d+ is wrong: .*not ahead of now/],
    [
      'too many minutes',
      Array.from({ length: 100 }, (_, ad) => `${ad}`),
      -1_000,
      /^from_ms \d+ is wrong: 100 ads have 103000 minutes from then on, and a stream may have 100000/,
    ],
  ])('with %s is refused, and the error names the field', async (_what, adIds, from, details) => {
    const world = new World();
    const reader = new Reader(world, adIds, { from });
    await world.time.pass(10);
    expect(reader.error).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(details),
    });
    expect(world.readings).toBe(0);
  });

  test('more than the process may have is refused with the limit', async () => {
    const world = new World();
    for (let batch = 0; batch < 100; batch++)
      new Reader(
        world,
        Array.from({ length: 100 }, (_, ad) => `${batch} ${ad}`),
      );
    const full = new Reader(world, ['one more']);
    await world.time.pass(10);
    expect(full.error).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('at most 10000 different ads'),
    });
    const known = new Reader(world, ['5 5']);
    await world.time.pass(1_000);
    expect(known.messages).toHaveLength(1);
  });
});
