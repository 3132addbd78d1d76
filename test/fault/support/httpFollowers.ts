/**
 * People who follow signed click URLs, and try again until they are sent on. What was not answered may count or not
 * (a person who tries again makes a new click), but an impression with an answered click is billed exactly once.
 */
import { clickUrl } from '../../../src/domain/clickUrl.ts';
import { signClick } from '../../../src/domain/signature.ts';
import type { SigningKey } from '../../../src/domain/signingKey.ts';

export const BROWSER =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
const REQUEST_BOUND_MS = 5_000;
const AGAIN_MS = 50;

/** What was followed of one ad. */
export interface Followed {
  /** Impressions with at least one answered click. */
  impressions: number;
  /** Requests that were answered with a redirect. */
  answered: number;
  /** All requests; those without an answer may have left a click or not. */
  tried: number;
}

export class HttpFollowers {
  readonly followed = new Map<string, Followed>();
  readonly #baseUrl: string;
  readonly #key: SigningKey;
  readonly #check: () => void;

  /** @param check throws where the load was given up */
  constructor(baseUrl: string, key: SigningKey, adIds: readonly string[], check: () => void) {
    this.#baseUrl = baseUrl;
    this.#key = key;
    this.#check = check;
    for (const adId of adIds) this.followed.set(adId, { impressions: 0, answered: 0, tried: 0 });
  }

  /** The signed URL of a new impression. */
  newUrl(adId: string): string {
    const impressionId = Bun.randomUUIDv7();
    return clickUrl(this.#baseUrl, adId, impressionId, signClick(this.#key, adId, impressionId));
  }

  /**
   * Follows the URL of a new impression until it was answered so often.
   * @param triedBefore how often somebody else followed it and heard nothing
   */
  async follow(adId: string, url: string, times: number, triedBefore = 0): Promise<void> {
    const followed = this.followed.get(adId);
    if (followed === undefined) throw new Error(`${adId} is no ad of the followers`);
    followed.tried += triedBefore;
    for (let time = 0; time < times; time += 1) {
      while (!(await this.#try(url, followed))) {
        this.#check();
        await Bun.sleep(AGAIN_MS);
      }
      followed.answered += 1;
    }
    followed.impressions += 1;
  }

  async #try(url: string, followed: Followed): Promise<boolean> {
    followed.tried += 1;
    const response = await fetch(url, {
      redirect: 'manual',
      // The client would send a request again by itself where a kept connection broke, and nobody would count it.
      keepalive: false,
      headers: { 'user-agent': BROWSER },
      signal: AbortSignal.timeout(REQUEST_BOUND_MS),
    }).catch(() => undefined);
    if (response === undefined || response.status === 503) return false;
    if (response.status !== 302) throw new Error(`${url} was answered ${response.status}`);
    return true;
  }
}
