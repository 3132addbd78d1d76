/**
 * Clicks as the web makes them, from a seed: few ads get most of them (Zipf), some people click twice, some clicks
 * come from programs, some URLs were tampered with, and some are reported by an ad server. Pure: chance and impression
 * ids are passed in.
 */
import { PEOPLE_COUNT, type SamplePerson, samplePerson } from './samplePeople.ts';

export interface SampleClick {
  readonly kind: 'fresh' | 'repeat' | 'bot' | 'tampered';
  readonly adId: string;
  /** UUIDv7; that of an earlier fresh click where it is a repeat. */
  readonly impressionId: string;
  readonly person: SamplePerson;
  readonly referrer: string;
  /** Whether the ad server of a page reports it; otherwise somebody follows its URL. */
  readonly isReported: boolean;
  readonly publisherId: string;
  readonly placementId: string;
  readonly creativeId: string;
}

/** Of all clicks that are not tampered with. */
const REPORTED_SHARE = 0.4;

/** Of all clicks; the rest is fresh. */
export const SHARES = { repeat: 0.1, bot: 0.05, tampered: 0.02 } as const;

/** So many fresh clicks are remembered for repeats: about ten seconds of the demo. */
const MEMORY_CLICKS = 1_000;

const BOTS = [
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)',
  'python-requests/2.32.3',
  'curl/8.10.1',
] as const;

export const REFERRERS = [
  'https://news.example/world',
  'https://news.example/sport/football',
  'https://recipes.example/dal-bhat',
  'https://weather.example/kathmandu',
  'https://forum.example/t/which-e-bike',
  'https://video.example/watch?v=18273',
] as const;

/** Places on a page, and forms of an ad: the first ones most often. */
const PLACEMENTS = ['top', 'article', 'article', 'sidebar', 'top', 'footer'] as const;
const CREATIVES = ['still', 'video', 'still', 'story'] as const;

/** Numbers from 0 up to, but not 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Ranks from 0 to `count` - 1, rank r with a probability in proportion to 1 / (r + 1) ** exponent. */
export function zipfSampler(count: number, exponent: number, random: () => number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank += 1) {
    sum += 1 / (rank + 1) ** exponent;
    sums[rank] = sum;
  }
  return () => firstAbove(sums, random() * sum);
}

/** The first place of `sums`, which rise, with more than `point`. */
function firstAbove(sums: Float64Array, point: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > point) high = middle;
    else low = middle + 1;
  }
  return low;
}

export class SampleTraffic {
  readonly #adIds: readonly string[];
  readonly #random: () => number;
  readonly #newImpressionId: () => string;
  readonly #rank: () => number;
  readonly #remembered: SampleClick[] = [];
  #made = 0;

  /** @param adIds most popular first */
  constructor(adIds: readonly string[], random: () => number, newImpressionId: () => string) {
    this.#adIds = adIds;
    this.#random = random;
    this.#newImpressionId = newImpressionId;
    this.#rank = zipfSampler(adIds.length, 1, random);
  }

  next(): SampleClick {
    const chance = this.#random();
    if (chance < SHARES.repeat) return this.#repeat() ?? this.#fresh();
    if (chance < SHARES.repeat + SHARES.bot) return this.#bot();
    if (chance < SHARES.repeat + SHARES.bot + SHARES.tampered)
      return { ...this.#new(), kind: 'tampered', isReported: false };
    return this.#fresh();
  }

  #new(): SampleClick {
    const adId = this.#adIds[this.#rank()] ?? '';
    const referrer = this.#pick(REFERRERS);
    const [publisherId = ''] = new URL(referrer).hostname.split('.');
    return {
      kind: 'fresh',
      adId,
      impressionId: this.#newImpressionId(),
      person: this.#person(Math.floor(this.#random() * PEOPLE_COUNT)),
      referrer,
      isReported: this.#random() < REPORTED_SHARE,
      publisherId,
      placementId: `${publisherId}-${this.#pick(PLACEMENTS)}`,
      creativeId: `${adId}-${this.#pick(CREATIVES)}`,
    };
  }

  /** The same one for the same number. */
  #person(number: number): SamplePerson {
    return samplePerson(number, seededRandom(number));
  }

  #bot(): SampleClick {
    const click = this.#new();
    return { ...click, kind: 'bot', person: { ...click.person, userAgent: this.#pick(BOTS) } };
  }

  #fresh(): SampleClick {
    const click = this.#new();
    this.#remembered[this.#made % MEMORY_CLICKS] = click;
    this.#made += 1;
    return click;
  }

  #repeat(): SampleClick | undefined {
    const earlier = this.#remembered[Math.floor(this.#random() * this.#remembered.length)];
    return earlier && { ...earlier, kind: 'repeat' };
  }

  #pick(texts: readonly string[]): string {
    return texts[Math.floor(this.#random() * texts.length)] ?? '';
  }
}
