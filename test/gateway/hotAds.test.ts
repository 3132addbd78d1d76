/** A hot ad is spread and drawn together again, once, by however many gateways, and never by a guess. */
import { describe, expect, it } from 'vitest';
import type { RateAnnouncement } from '../../src/domain/announcedRates.ts';
import { FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX } from '../../src/domain/fanOut.ts';
import { CLOSED_UNTIL_AHEAD_MS } from '../../src/domain/routingTable.ts';
import { HotAds } from '../../src/gateway/hotAds.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';
import { type MemoryRoutingLog, MemoryRoutingStream } from '../support/memoryRouting.ts';
import { SilentLog } from '../support/silentLog.ts';
import { LostConnection } from '../support/trouble.ts';
import { turns } from '../support/until.ts';

const HOT_AD_RATE = 100;
const CALM_SECONDS = 20;
/** Until a rate is near what comes. */
const RISE_SECONDS = 12;

interface Gateway {
  readonly routing: MemoryRoutingLog;
  readonly hotAds: HotAds;
  /** Whether it hears what this gateway announces. */
  hears: (gateway: string) => boolean;
}

class Gateways {
  nowMs = NOON_MS;
  readonly stream = new MemoryRoutingStream(16, RULES);
  readonly log = new SilentLog();
  readonly said: RateAnnouncement[] = [];
  readonly all: Gateway[] = [];
  #waiting: (() => void)[] = [];

  add(): void {
    const name = `gateway-${this.all.length}`;
    const routing = this.stream.open();
    const gateway = { routing, hears: () => true, hotAds: this.#open(name, routing) };
    this.all.push(gateway);
    void gateway.hotAds.run(new AbortController().signal);
  }

  #open(gateway: string, routing: MemoryRoutingLog): HotAds {
    return new HotAds({
      routing,
      gateway,
      hotAdRate: HOT_AD_RATE,
      hotAdCalmMs: CALM_SECONDS * 1_000,
      announce: (announcement) => {
        this.said.push(announcement);
        for (const { hears, hotAds } of this.all) if (hears(gateway)) hotAds.hear(announcement);
      },
      clock: () => this.nowMs,
      timers: { pause: () => new Promise((resolve) => this.#waiting.push(resolve)) },
      log: this.log,
    });
  }

  /** Seconds in which each gateway takes in so many clicks of the ad, and the table is kept ahead of them. */
  async seconds(count: number, clicks = 0, adId = 'hot'): Promise<void> {
    for (; count > 0; count--) {
      const now = { impressionId: uuid7At(this.nowMs - 2_000), clickId: uuid7At(this.nowMs) };
      const taken = Array.from({ length: clicks }, () => factsOf({ adId, receivedMs: this.nowMs, ...now }));
      for (const { hotAds } of this.all) hotAds.observe(taken);
      this.nowMs += 1_000;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const goOn of waiting) goOn();
      await turns();
    }
  }

  /** As a click of this time would have it raised. */
  async closeUntil(untilMs: number): Promise<void> {
    const operator = this.stream.open();
    await operator.append({ kind: 'closed_until', untilMs });
  }

  /** A click came to which the newest entry applies. */
  async letItTakeEffect(): Promise<void> {
    const operator = this.stream.open();
    const { fromMs } = operator.table.newestFanOut('hot');
    await operator.append({ kind: 'closed_until', untilMs: fromMs + CLOSED_UNTIL_AHEAD_MS });
  }

  get fanOuts(): number[] {
    return this.stream.entries.flatMap((entry) => (entry.kind === 'fan_out' ? [entry.fanOut] : []));
  }
}

async function setUp(gateways = 1): Promise<Gateways> {
  const world = new Gateways();
  for (; gateways > 0; gateways--) world.add();
  await world.closeUntil(NOON_MS + CLOSED_UNTIL_AHEAD_MS);
  return world;
}

describe('an ad', () => {
  it('that stays below the threshold keeps one shard', async () => {
    const world = await setUp();
    await world.seconds(40, HOT_AD_RATE);
    expect(world.stream.entries.filter(({ kind }) => kind === 'fan_out')).toEqual([]);
  });

  it('beyond it is spread from closed_until on, by one entry that bears its rate', async () => {
    const world = await setUp();
    await world.seconds(RISE_SECONDS, 9 * HOT_AD_RATE);
    const [entry] = world.stream.entries.filter(({ kind }) => kind === 'fan_out');
    expect(entry).toEqual({
      kind: 'fan_out',
      adId: 'hot',
      fanOut: 16,
      fromMs: NOON_MS + CLOSED_UNTIL_AHEAD_MS,
    });
    expect(world.log.lines.map(({ message }) => message)).toEqual(['a hot ad is spread']);
  });

  it('that is busy for a moment only is no hot one', async () => {
    const world = await setUp();
    await world.seconds(2, 9 * HOT_AD_RATE);
    await world.seconds(30, 0);
    expect(world.fanOuts).toEqual([]);
  });

  it('has no second change on the way, and gets the next one when a click came for the first', async () => {
    const world = await setUp();
    await world.seconds(RISE_SECONDS, 1.5 * HOT_AD_RATE);
    await world.seconds(RISE_SECONDS, 20 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([2]);
    await world.letItTakeEffect();
    await world.seconds(1, 20 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([2, 16]);
  });

  it('is hot by what all gateways have of it together, and spread once by however many decide', async () => {
    const world = await setUp(5);
    await world.seconds(RISE_SECONDS, 0.35 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([2]);
    const alone = await setUp(1);
    await alone.seconds(RISE_SECONDS, 0.35 * HOT_AD_RATE);
    expect(alone.fanOuts).toEqual([]);
  });

  it('is drawn together after it was calm for long, and not before', async () => {
    const world = await setUp();
    await world.seconds(RISE_SECONDS, 7 * HOT_AD_RATE);
    await world.letItTakeEffect();
    await world.seconds(CALM_SECONDS, 0.3 * HOT_AD_RATE);
    // One busy while, and the calm begins anew.
    await world.seconds(RISE_SECONDS, 4 * HOT_AD_RATE);
    await world.seconds(CALM_SECONDS, 0.3 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([8]);
    await world.seconds(RISE_SECONDS, 0.3 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([8, 1]);
  });

  it('gets no more than so many changes a day, and the log says so once', async () => {
    const world = await setUp();
    const operator = world.stream.open();
    for (let change = 0; change < FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX; change++) {
      const fromMs = operator.table.closedUntilMs;
      await operator.append({ kind: 'fan_out', adId: 'hot', fanOut: 1, fromMs });
    }
    const before = world.fanOuts.length;
    await world.letItTakeEffect();
    await world.seconds(RISE_SECONDS, 20 * HOT_AD_RATE);
    expect(world.fanOuts).toHaveLength(before);
    expect(world.log.lines.map(({ message }) => message)).toEqual([
      'an ad keeps its fan-out: there were too many changes in a day',
    ]);
  });

  it.each([
    ['old impressions are clicked', NOON_MS - 3_600_000],
    ['impressions from the future are clicked', NOON_MS + 3_600_000],
  ])('of which only %s is not hot: no entry could spread those', async (_, issuedMs) => {
    const world = await setUp();
    const click = factsOf({ adId: 'hot', impressionId: uuid7At(issuedMs) });
    for (let second = 0; second < RISE_SECONDS; second++) {
      for (const { hotAds } of world.all)
        hotAds.observe(Array(2_000).fill({ ...click, receivedMs: world.nowMs }));
      await world.seconds(1);
    }
    expect(world.fanOuts).toEqual([]);
  });
});

describe('a gateway', () => {
  /** Two of them, each with half of what keeps the fan-out of 8 from being too wide. */
  async function twoWithHalfEach() {
    const world = await setUp(2);
    const operator = world.stream.open();
    await operator.append({
      kind: 'fan_out',
      adId: 'hot',
      fanOut: 8,
      fromMs: operator.table.closedUntilMs,
    });
    await world.letItTakeEffect();
    await world.seconds(RISE_SECONDS, 1.9 * HOT_AD_RATE);
    const hearOnly = (who: (self: string) => string | undefined) => {
      for (const [number, gateway] of world.all.entries())
        gateway.hears = (heard) => heard === who(`gateway-${number}`);
    };
    return { world, hearOnly };
  }

  it('that does not hear itself takes silence for no calm', async () => {
    const { world, hearOnly } = await twoWithHalfEach();
    hearOnly((self) => (self === 'gateway-0' ? 'gateway-1' : 'gateway-0'));
    await world.seconds(2 * CALM_SECONDS, 1.9 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([8]);
  });

  it('that was deaf for a while begins anew to see whether an ad is calm', async () => {
    const { world, hearOnly } = await twoWithHalfEach();
    hearOnly((self) => self);
    await world.seconds(CALM_SECONDS / 2, 1.9 * HOT_AD_RATE);
    hearOnly(() => undefined);
    await world.seconds(CALM_SECONDS, 1.9 * HOT_AD_RATE);
    // Its own word comes back first.
    hearOnly((self) => self);
    await world.seconds(2, 1.9 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([8]);
  });

  it('does not take the calm of an earlier fan-out for that of a later one', async () => {
    const world = await setUp();
    const operator = world.stream.open();
    const change = async (fanOut: number) => {
      await operator.read();
      await operator.append({ kind: 'fan_out', adId: 'hot', fanOut, fromMs: operator.table.closedUntilMs });
      await world.letItTakeEffect();
      // As for a click that needs it.
      for (const { routing } of world.all) await routing.read();
    };
    await change(8);
    await world.seconds(CALM_SECONDS - 5);
    await change(1);
    await world.seconds(10);
    await change(8);
    await world.seconds(10);
    expect(world.fanOuts).toEqual([8, 1, 8]);
  });

  it('that cannot append goes on, says so once, and does it when it can', async () => {
    const world = await setUp();
    const [gateway] = world.all;
    if (gateway === undefined) throw new Error('there is one');
    gateway.routing.trouble.decide = () => {
      throw new LostConnection('away');
    };
    await world.seconds(RISE_SECONDS, 20 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([]);
    expect(world.log.lines.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'the fan-out of ads stays as it is: the routing table cannot be read or raised'],
    ]);
    gateway.routing.trouble.decide = () => undefined;
    await world.seconds(RISE_SECONDS, 20 * HOT_AD_RATE);
    expect(world.fanOuts).toEqual([16]);
  });

  it('that hears of an entry it does not know decides by the table as it is then', async () => {
    const world = await setUp();
    const operator = world.stream.open();
    await operator.append({ kind: 'closed_until', untilMs: NOON_MS + 5 * CLOSED_UNTIL_AHEAD_MS });
    await world.seconds(RISE_SECONDS, 20 * HOT_AD_RATE);
    const last = world.stream.entries.at(-1);
    expect(last).toMatchObject({ kind: 'fan_out', fromMs: NOON_MS + 5 * CLOSED_UNTIL_AHEAD_MS });
  });
});
