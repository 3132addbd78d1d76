/**
 * Spreads hot ads over more shards, and draws them together again: counts this gateway's clicks by ad, says about once a
 * second which ads got the most, hears the same of all gateways, and appends what `fanOut.ts` decides to the routing
 * table. Every gateway comes to the same decision; the compare-and-set lets one of them through, and the others find
 * its entry when they decide again.
 *
 * I3: an entry takes effect from `closed_until` on, of the very table on which it was decided; so nothing here, however
 * wrong a rate or a clock is, can change where a click goes that may be published already. No click waits for it, and
 * where it fails clicks go on as before.
 */
import { ANNOUNCE_EVERY_MS, AnnouncedRates, type RateAnnouncement } from '../domain/announcedRates.ts';
import { ClickRates } from '../domain/clickRates.ts';
import type { RoutedFacts } from '../domain/clickRecord.ts';
import { decideFanOut, type FanOutDecision, fadingPeak, type Mood, moodOf } from '../domain/fanOut.ts';
import { routingTimeMs } from '../domain/identity.ts';
import { CLOSED_UNTIL_AHEAD_MS } from '../domain/routingTable.ts';
import type { Timers } from '../domain/timers.ts';
import type { Log, RoutingWriter } from './ports.ts';

/** Clicks on older impressions do not count towards a rate, nor do those from the future: no entry could spread them. */
const IMPRESSION_AGE_MAX_MS = 600_000;
const DAY_MS = 86_400_000;

export interface HotAdsParts {
  readonly routing: RoutingWriter;
  /** A name that no other gateway has. */
  readonly gateway: string;
  /** Clicks a second of an ad that one sub-shard should bear. */
  readonly hotAdRate: number;
  /** For how long an ad must be calm before its fan-out shrinks. */
  readonly hotAdCalmMs: number;
  /** Says it to all gateways, this one included. May get lost. */
  readonly announce: (announcement: RateAnnouncement) => void;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly timers: Pick<Timers, 'pause'>;
  readonly log: Log;
}

/** What an ad was like for a while. */
interface Spell {
  readonly mood: Mood;
  readonly sinceMs: number;
  /** Clicks a second, the most meanwhile, as `fadingPeak` has it. */
  peak: number;
}

export class HotAds {
  readonly #parts: HotAdsParts;
  readonly #rates = new ClickRates();
  readonly #announced = new AnnouncedRates();
  readonly #spells = new Map<string, Spell>();
  /** Ads of which the log said that they were changed too often. */
  readonly #exhausted = new Set<string>();
  #isStuck = false;

  constructor(parts: HotAdsParts) {
    this.#parts = parts;
  }

  /** Counts clicks that were taken in. In the way of every click: a step in a map each. */
  observe(clicks: readonly RoutedFacts[]): void {
    const { maxFutureSkewMs } = this.#parts.routing.table.rules;
    for (const click of clicks) {
      const ageMs = click.receivedMs - routingTimeMs(click);
      if (ageMs <= IMPRESSION_AGE_MAX_MS && ageMs >= -maxFutureSkewMs) this.#rates.add(click.adId, 1);
    }
  }

  hear(announcement: RateAnnouncement): void {
    this.#announced.hear(announcement, this.#parts.clock());
  }

  async run(stop: AbortSignal): Promise<void> {
    const { clock, timers } = this.#parts;
    let beforeMs = clock();
    for (;;) {
      await timers.pause(ANNOUNCE_EVERY_MS, stop);
      if (stop.aborted) return;
      const nowMs = clock();
      // A clock that was set back says nothing of how long it was.
      this.#announce(nowMs > beforeMs ? nowMs - beforeMs : ANNOUNCE_EVERY_MS);
      beforeMs = nowMs;
      await this.#decideAll(nowMs);
    }
  }

  #announce(elapsedMs: number): void {
    const { gateway, hotAdRate, announce } = this.#parts;
    announce({ gateway, hotAdRate, rates: this.#rates.endWindow(elapsedMs) });
  }

  async #decideAll(nowMs: number): Promise<void> {
    const { routing, gateway, hotAdRate, log } = this.#parts;
    if (!this.#announced.lately(nowMs).some((heard) => heard.gateway === gateway)) {
      // Who does not hear itself may not hear others either: silence is no calm.
      this.#spells.clear();
      return;
    }
    const whole = this.#announced.whole(nowMs);
    try {
      const hot = [...whole].filter(([, rate]) => rate > hotAdRate).map(([adId]) => adId);
      if (hot.length > 0 || routing.table.spreadAds.size > 0) await routing.read();
      const watched = new Set([...hot, ...routing.table.spreadAds]);
      for (const adId of watched) await this.#decide(adId, whole.get(adId) ?? 0, nowMs);
      for (const adId of this.#spells.keys()) if (!watched.has(adId)) this.#spells.delete(adId);
      for (const adId of this.#exhausted) if (!watched.has(adId)) this.#exhausted.delete(adId);
      this.#isStuck = false;
    } catch (error) {
      if (!this.#isStuck)
        log.warn(
          { err: error },
          'the fan-out of ads stays as it is: the routing table cannot be read or raised',
        );
      this.#isStuck = true;
    }
  }

  async #decide(adId: string, clicksPerSecond: number, nowMs: number): Promise<void> {
    const { routing, log } = this.#parts;
    const { table } = routing;
    const { fanOut: before } = table.newestFanOut(adId);
    const decision = this.#decision(adId, clicksPerSecond, nowMs);
    if (decision.kind !== 'exhausted') this.#exhausted.delete(adId);
    if (decision.kind === 'keep') return;
    const { fanOut } = decision;
    if (decision.kind === 'exhausted') {
      if (!this.#exhausted.has(adId))
        log.warn(
          { adId, clicksPerSecond, before, fanOut },
          'an ad keeps its fan-out: there were too many changes in a day',
        );
      this.#exhausted.add(adId);
      return;
    }
    const fromMs = table.closedUntilMs;
    // Where another gateway was first, its table is there now, and the next turn decides by it.
    if (!(await routing.append({ kind: 'fan_out', adId, fanOut, fromMs }))) return;
    log.info(
      { adId, clicksPerSecond, before, fanOut, fromMs },
      fanOut > before ? 'a hot ad is spread' : 'an ad is calm again',
    );
  }

  #decision(adId: string, clicksPerSecond: number, nowMs: number): FanOutDecision {
    const { routing, hotAdRate, hotAdCalmMs } = this.#parts;
    const { table } = routing;
    const { fanOut, fromMs } = table.newestFanOut(adId);
    const sizes = { fanOut, shards: table.newestShards, hotAdRate };
    const { mood, sinceMs, peak } = this.#spell(adId, moodOf(clicksPerSecond, sizes), clicksPerSecond, nowMs);
    const dayBeforeMs = table.closedUntilMs - DAY_MS;
    return decideFanOut({
      ...sizes,
      // It is raised so far ahead of a click's times, so it lies there when a click came to which the entry applies.
      isOnTheWay: table.closedUntilMs < fromMs + CLOSED_UNTIL_AHEAD_MS,
      hotAdCalmMs,
      mood,
      moodMs: nowMs - sinceMs,
      peak,
      changesOfAd: table.fanOutsOfAdSince(adId, dayBeforeMs),
      changesOfAll: table.fanOutsSince(dayBeforeMs),
    });
  }

  #spell(adId: string, mood: Mood, clicksPerSecond: number, nowMs: number): Spell {
    let spell = this.#spells.get(adId);
    if (spell?.mood !== mood) {
      spell = { mood, sinceMs: nowMs, peak: 0 };
      this.#spells.set(adId, spell);
    }
    spell.peak = fadingPeak(spell.peak, clicksPerSecond, ANNOUNCE_EVERY_MS, this.#parts.hotAdCalmMs);
    return spell;
  }
}
