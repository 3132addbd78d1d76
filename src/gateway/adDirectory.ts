/**
 * The gateway's memory of the ad catalog: in front of PostgreSQL, bounded, ads that do not exist included. Changes are
 * announced among gateways; the time limit is for an announcement that was lost.
 */
import { LRUCache } from 'lru-cache';
import type { Ad } from '../domain/ad.ts';
import type { AdStore } from './ports.ts';

const ADS_MAX = 200_000;
const KNOWN_FOR_MS = 60_000;
const UNKNOWN_FOR_MS = 5_000;

type Entry = { readonly ad: Ad | undefined };

export class AdDirectory {
  readonly #store: Pick<AdStore, 'read'>;
  readonly #cache = new LRUCache<string, Entry>({ max: ADS_MAX });
  /** Look-ups of one ad that are under way, shared by whoever asks meanwhile. */
  readonly #loading = new Map<string, Promise<Ad | undefined>>();
  /** Rises with every announced change: what was read before it is not remembered. */
  #changes = 0;

  constructor(store: Pick<AdStore, 'read'>) {
    this.#store = store;
  }

  /** The ad, or undefined where there is none; a promise only where PostgreSQL must be asked. */
  find(adId: string): Ad | undefined | Promise<Ad | undefined> {
    const entry = this.#cache.get(adId);
    if (entry !== undefined) return entry.ad;
    let loading = this.#loading.get(adId);
    if (loading === undefined) {
      const own = this.#load([adId])
        .then((found) => found.get(adId))
        .finally(() => {
          if (this.#loading.get(adId) === own) this.#loading.delete(adId);
        });
      loading = own;
      this.#loading.set(adId, loading);
    }
    return loading;
  }

  /** Which of these ads exist. */
  async existing(adIds: Iterable<string>): Promise<Set<string>> {
    const existing = new Set<string>();
    const unknown: string[] = [];
    for (const adId of new Set(adIds)) {
      const entry = this.#cache.get(adId);
      if (entry === undefined) unknown.push(adId);
      else if (entry.ad !== undefined) existing.add(adId);
    }
    if (unknown.length > 0) for (const adId of (await this.#load(unknown)).keys()) existing.add(adId);
    return existing;
  }

  /** Forgets ads that changed. */
  forget(adIds: readonly string[]): void {
    this.#changes += 1;
    for (const adId of adIds) {
      this.#cache.delete(adId);
      // Whoever asks from now on must not share an answer from before the change.
      this.#loading.delete(adId);
    }
  }

  async #load(adIds: readonly string[]): Promise<Map<string, Ad>> {
    const before = this.#changes;
    const found = new Map((await this.#store.read(adIds)).map((ad) => [ad.adId, ad]));
    if (before === this.#changes) {
      for (const adId of adIds) {
        const ad = found.get(adId);
        this.#cache.set(adId, { ad }, { ttl: ad === undefined ? UNKNOWN_FOR_MS : KNOWN_FOR_MS });
      }
    }
    return found;
  }
}
