/**
 * `--create-ads`: registers the ads of a file that the catalog does not know, before their first click is sent.
 * An ad that is there already stays as it is; asking first is what keeps an import from overwriting where it leads.
 *
 * Its memory is one id for each ad of the file.
 */
import {
  callErrorKind,
  isInvalidArgument,
  isNotFound,
  isServiceError,
} from '../../adapters/grpc/callError.ts';
import type { CatalogClient } from '../../adapters/grpc/clients.ts';
import type { Ad } from '../../contract/generated/clickledger/v1/Ad.ts';
import { RetryBudget } from './retryBudget.ts';

const ADS_A_REQUEST_MAX = 1_000;
const LOOKUPS_AT_ONCE = 32;
const OWNER_ID = 'import';

export interface RegistrarOptions {
  readonly catalog: Pick<CatalogClient, 'getAd' | 'upsertAds'>;
  /** Where clicks on a new ad lead; `{ad_id}` stands for the ad. */
  readonly destinationTemplate: string;
  readonly retryForMs: number;
  readonly nowMs: () => number;
  /** Resolves after that time; rejects when the import is stopped. */
  readonly pause: (ms: number) => Promise<void>;
  readonly onTrouble: (error: Error, waitMs: number, leftMs: number) => void;
}

export class AdRegistrar {
  readonly #options: RegistrarOptions;
  readonly #known = new Set<string>();
  readonly #refused = new Map<string, string>();
  #created = 0;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** How many ads were not in the catalog before. */
  get created(): number {
    return this.#created;
  }

  /** Why the catalog does not take this ad, where it was asked and said no. */
  refusal(adId: string): string | undefined {
    return this.#refused.get(adId);
  }

  /** Sees to it that every one of these ads is in the catalog, or has a `refusal`. */
  async ensure(adIds: Iterable<string>): Promise<void> {
    const fresh = [...new Set(adIds)].filter((adId) => !this.#known.has(adId) && !this.#refused.has(adId));
    const missing: string[] = [];
    for (let from = 0; from < fresh.length; from += LOOKUPS_AT_ONCE) {
      const some = fresh.slice(from, from + LOOKUPS_AT_ONCE);
      const found = await Promise.all(some.map((adId) => this.#isInCatalog(adId)));
      some.forEach((adId, index) => {
        if (found[index] === true) this.#known.add(adId);
        else if (!this.#refused.has(adId)) missing.push(adId);
      });
    }
    for (let from = 0; from < missing.length; from += ADS_A_REQUEST_MAX) {
      await this.#create(missing.slice(from, from + ADS_A_REQUEST_MAX));
    }
  }

  async #isInCatalog(adId: string): Promise<boolean> {
    try {
      await this.#persistently(() => this.#options.catalog.getAd({ ad_id: adId }));
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      if (isServiceError(error) && isInvalidArgument(error)) {
        this.#refused.set(adId, error.details);
        return false;
      }
      throw error;
    }
  }

  async #create(adIds: readonly string[]): Promise<void> {
    try {
      const ads = adIds.map((adId) => this.#newAd(adId));
      const { created } = await this.#persistently(() => this.#options.catalog.upsertAds({ ads }));
      this.#created += created;
      for (const adId of adIds) this.#known.add(adId);
    } catch (error) {
      if (!isServiceError(error) || !isInvalidArgument(error)) throw error;
      const [only, ...others] = adIds;
      if (only !== undefined && others.length === 0) this.#refused.set(only, error.details);
      // One ad that the catalog refuses fails its whole request; alone it fails only for itself.
      else for (const adId of adIds) await this.#create([adId]);
    }
  }

  #newAd(adId: string): Ad {
    return {
      ad_id: adId,
      campaign_id: OWNER_ID,
      advertiser_id: OWNER_ID,
      destination_url: destinationOf(this.#options.destinationTemplate, adId),
      status: 'ACTIVE',
    };
  }

  async #persistently<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    const budget = new RetryBudget(this.#options.retryForMs);
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof Error) || callErrorKind(error) === 'final') throw error;
        const decision = budget.failed(this.#options.nowMs());
        if (decision.kind === 'giveUp') throw error;
        this.#options.onTrouble(error, decision.waitMs, decision.leftMs);
        await this.#options.pause(decision.waitMs);
      }
    }
  }
}

/** `template` with each `{ad_id}` replaced by the ad's id, encoded for a URL. */
export function destinationOf(template: string, adId: string): string {
  return template.replaceAll('{ad_id}', () => encodeURIComponent(adId));
}
