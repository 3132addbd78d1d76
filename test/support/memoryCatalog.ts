/** The table of ads in PostgreSQL, in memory: what the gateway reads, pages and upserts, and what it announces. */
import type { Ad } from '../../src/domain/ad.ts';
import type { AdStore } from '../../src/gateway/ports.ts';
import { Trouble } from './trouble.ts';

export class MemoryCatalog implements AdStore {
  readonly trouble = new Trouble();
  readonly announced: string[][] = [];
  /** Ads asked for in each look-up. */
  readonly reads: string[][] = [];
  readonly #ads = new Map<string, Ad>();

  constructor(...ads: Ad[]) {
    for (const ad of ads) this.#ads.set(ad.adId, ad);
  }

  read(adIds: readonly string[]): Promise<Ad[]> {
    this.reads.push([...adIds]);
    return this.trouble.around('read', () =>
      [...new Set(adIds)].flatMap((adId) => {
        const ad = this.#ads.get(adId);
        return ad === undefined ? [] : [ad];
      }),
    );
  }

  page(afterAdId: string, limit: number): Promise<Ad[]> {
    return this.trouble.around('page', () =>
      [...this.#ads.values()]
        .filter(({ adId }) => Buffer.compare(Buffer.from(adId), Buffer.from(afterAdId)) > 0)
        .sort((left, right) => Buffer.compare(Buffer.from(left.adId), Buffer.from(right.adId)))
        .slice(0, limit),
    );
  }

  upsert(ads: readonly Ad[]): Promise<{ created: number; updated: number }> {
    return this.trouble.around('upsert', () => {
      let created = 0;
      for (const ad of ads) {
        if (!this.#ads.has(ad.adId)) created += 1;
        this.#ads.set(ad.adId, ad);
      }
      return { created, updated: ads.length - created };
    });
  }

  announce(adIds: readonly string[]): void {
    this.announced.push([...adIds]);
  }
}

/** An ad with a destination of its own. */
export function adOf(adId: string, destinationUrl = `https://shop.example/${encodeURIComponent(adId)}`): Ad {
  return { adId, campaignId: 'campaign', advertiserId: 'advertiser', destinationUrl, status: 'ACTIVE' };
}
