/**
 * The gateway's memory of the ad catalog, in front of PostgreSQL: what it knows it answers at once, so click URLs
 * redirect while PostgreSQL is away. Changes are announced among gateways; looking again after a while is for an
 * announcement that was lost.
 *
 * Ads that do not exist are remembered apart and shortly: made-up ids must not push real ads out.
 */
import { LRUCache } from 'lru-cache';
import type { Ad } from '../domain/ad.ts';
import type { AdStore, Log } from './ports.ts';
import { UnavailableError } from './unavailable.ts';

const ADS_MAX = 200_000;
const UNKNOWN_ADS_MAX = 20_000;
/** A known ad is looked up again after this, in the background. */
const LOOK_AGAIN_MS = 60_000;
/** And after this where that failed. */
const LOOK_AGAIN_AFTER_FAILURE_MS = 1_000;
/** An ad that does not exist may exist after this. */
const UNKNOWN_FOR_MS = 5_000;

interface KnownAd {
  readonly ad: Ad;
  /** Milliseconds since the Unix epoch. */
  lookAgainMs: number;
}

export class AdDirectory {
  readonly #store: Pick<AdStore, 'read'>;
  readonly #clock: () => number;
  readonly #log: Pick<Log, 'error'>;
  #failing = false;
  readonly #known = new LRUCache<string, KnownAd>({ max: ADS_MAX });
  /** Until when each of these is taken not to exist. */
  readonly #unknown = new LRUCache<string, number>({ max: UNKNOWN_ADS_MAX });
  /** Look-ups of one ad that are under way, shared by whoever asks meanwhile. */
  readonly #loading = new Map<string, Promise<Ad | undefined>>();
  /** Rises with every announced change: what was read before it is not remembered. */
  #changes = 0;

  constructor(store: Pick<AdStore, 'read'>, clock: () => number, log: Pick<Log, 'error'>) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** The ad, or undefined where there is none; a promise only where PostgreSQL must be asked. */
  find(adId: string): Ad | undefined | Promise<Ad | undefined> {
    const known = this.#recall(adId);
    if (known !== undefined) return known.ad;
    return this.#isUnknown(adId) ? undefined : this.#look(adId);
  }

  /** Which of these ads exist. */
  async existing(adIds: Iterable<string>): Promise<Set<string>> {
    const existing = new Set<string>();
    const asked: string[] = [];
    for (const adId of new Set(adIds)) {
      if (this.#recall(adId) !== undefined) existing.add(adId);
      else if (!this.#isUnknown(adId)) asked.push(adId);
    }
    if (asked.length > 0) for (const adId of (await this.#load(asked)).keys()) existing.add(adId);
    return existing;
  }

  /** Forgets ads that changed. */
  forget(adIds: readonly string[]): void {
    this.#changes += 1;
    for (const adId of adIds) {
      this.#known.delete(adId);
      this.#unknown.delete(adId);
      // Whoever asks from now on must not share an answer from before the change.
      this.#loading.delete(adId);
    }
  }

  #recall(adId: string): KnownAd | undefined {
    const known = this.#known.get(adId);
    if (known !== undefined && known.lookAgainMs <= this.#clock()) {
      known.lookAgainMs = this.#clock() + LOOK_AGAIN_AFTER_FAILURE_MS;
      // What is known stays good while it cannot be read again.
      this.#look(adId).catch(() => undefined);
    }
    return known;
  }

  #isUnknown(adId: string): boolean {
    return (this.#unknown.get(adId) ?? 0) > this.#clock();
  }

  #look(adId: string): Promise<Ad | undefined> {
    const underWay = this.#loading.get(adId);
    if (underWay !== undefined) return underWay;
    const own = this.#load([adId])
      .then((found) => found.get(adId))
      .finally(() => {
        if (this.#loading.get(adId) === own) this.#loading.delete(adId);
      });
    this.#loading.set(adId, own);
    return own;
  }

  /** @throws UnavailableError */
  async #read(adIds: readonly string[]): Promise<Ad[]> {
    try {
      const ads = await this.#store.read(adIds);
      this.#failing = false;
      return ads;
    } catch (error) {
      // Said once, not for every click of an outage.
      if (!this.#failing) this.#log.error({ err: error }, 'the ad catalog does not answer');
      this.#failing = true;
      throw new UnavailableError('the ad catalog does not answer', { cause: error });
    }
  }

  async #load(adIds: readonly string[]): Promise<Map<string, Ad>> {
    const before = this.#changes;
    const found = new Map((await this.#read(adIds)).map((ad) => [ad.adId, ad]));
    if (before !== this.#changes) return found;
    const nowMs = this.#clock();
    for (const adId of adIds) {
      const ad = found.get(adId);
      if (ad !== undefined) {
        this.#known.set(adId, { ad, lookAgainMs: nowMs + LOOK_AGAIN_MS });
        this.#unknown.delete(adId);
      } else {
        this.#unknown.set(adId, nowMs + UNKNOWN_FOR_MS);
        this.#known.delete(adId);
      }
    }
    return found;
  }
}
