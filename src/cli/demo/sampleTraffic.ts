/**
 * Clicks as the web makes them, from a seed: few ads get most of them (Zipf), some people click twice, some clicks
 * come from programs, some URLs were tampered with. Pure: chance and impression ids are passed in.
 */

export interface SampleClick {
  readonly kind: 'fresh' | 'repeat' | 'bot' | 'tampered';
  readonly adId: string;
  /** UUIDv7; that of an earlier fresh click where it is a repeat. */
  readonly impressionId: string;
  readonly userAgent: string;
  readonly referrer: string;
}

/** Of all clicks; the rest is fresh. */
export const SHARES = { repeat: 0.1, bot: 0.05, tampered: 0.02 } as const;

/** So many fresh clicks are remembered for repeats: about ten seconds of the demo. */
const MEMORY_CLICKS = 1_000;

/** User agents of people. */
export const PEOPLE = [
  'Mozilla/5.0 (Linux; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
  'Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0',
] as const;

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
    if (chance < SHARES.repeat + SHARES.bot)
      return { ...this.#new(), kind: 'bot', userAgent: this.#pick(BOTS) };
    if (chance < SHARES.repeat + SHARES.bot + SHARES.tampered) return { ...this.#new(), kind: 'tampered' };
    return this.#fresh();
  }

  #new(): SampleClick {
    return {
      kind: 'fresh',
      adId: this.#adIds[this.#rank()] ?? '',
      impressionId: this.#newImpressionId(),
      userAgent: this.#pick(PEOPLE),
      referrer: this.#pick(REFERRERS),
    };
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
