/**
 * How many clicks a second the busiest ads get at one gateway, lately. Clicks are summed, and at the end of each window
 * everything summed loses a part of its weight: so a rate follows within seconds, and one odd second is no rate.
 */
import { HeavyHitters } from './heavyHitters.ts';

/** 2,048 counters: of an ad at most a thousandth of all clicks is missed. */
const COUNTERS_MAX = 2_048;
/** After this long a click weighs a third (1/e) of a new one. */
const RATE_SPAN_MS = 2_000;
/** Ads that a gateway announces. One that could be too much for a shard is a good part of all clicks. */
export const ANNOUNCED_ADS_MAX = 128;

export type AdRate = readonly [adId: string, clicksPerSecond: number];

export class ClickRates {
  readonly #hitters = new HeavyHitters(COUNTERS_MAX);

  add(adId: string, clicks: number): void {
    this.#hitters.add(adId, clicks);
  }

  /** Ends a window that took so long. @returns the ads with the most clicks, the busiest first */
  endWindow(elapsedMs: number): AdRate[] {
    const kept = Math.exp(-elapsedMs / RATE_SPAN_MS);
    // A steady rate r adds r * window to a sum of which `kept` is left each time: r * window / (1 - kept) in the end.
    const perSecond = (1_000 * (1 - kept)) / elapsedMs;
    const rates = this.#hitters
      .top(ANNOUNCED_ADS_MAX)
      .map(({ key, least }): AdRate => [key, Math.round(least * perSecond)])
      .filter(([, clicksPerSecond]) => clicksPerSecond > 0);
    this.#hitters.scale(kept);
    return rates;
  }
}
