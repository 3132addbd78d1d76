/**
 * What the gateways said lately of their busiest ads, put together: an ad's whole rate is the sum. Ages are by the clock
 * of whoever listens; no gateway's clock is compared with another's.
 */
import type { AdRate } from './clickRates.ts';

export interface RateAnnouncement {
  /** A name that no other gateway has. */
  readonly gateway: string;
  /** Its setting HOT_AD_RATE, for whoever watches. */
  readonly hotAdRate: number;
  readonly rates: readonly AdRate[];
}

export const ANNOUNCE_EVERY_MS = 1_000;
/** A gateway that was not heard for so long has no rates any more. */
export const ANNOUNCEMENT_HOLDS_MS = 3_500;
/** Gateways of which the rates are held; what further ones say is not heard. */
const GATEWAYS_MAX = 1_024;

interface Heard {
  readonly announcement: RateAnnouncement;
  readonly atMs: number;
}

export class AnnouncedRates {
  readonly #heard = new Map<string, Heard>();

  hear(announcement: RateAnnouncement, nowMs: number): void {
    const { gateway } = announcement;
    if (this.#heard.has(gateway) || this.#heard.size < GATEWAYS_MAX)
      this.#heard.set(gateway, { announcement, atMs: nowMs });
  }

  /** The gateways that were heard lately, each with what it said last. */
  lately(nowMs: number): RateAnnouncement[] {
    for (const [gateway, { atMs }] of this.#heard) {
      // A clock that was set back must not keep them for ever.
      if (Math.abs(nowMs - atMs) > ANNOUNCEMENT_HOLDS_MS) this.#heard.delete(gateway);
    }
    return [...this.#heard.values()].map(({ announcement }) => announcement);
  }

  /** Clicks a second of each ad, over all gateways. */
  whole(nowMs: number): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { rates } of this.lately(nowMs)) {
      for (const [adId, clicksPerSecond] of rates) sums.set(adId, (sums.get(adId) ?? 0) + clicksPerSecond);
    }
    return sums;
  }
}
