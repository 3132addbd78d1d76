/** The ads of a measurement: how they are called, how they stand in the catalog, and how often each is clicked. */
import type { Pool } from 'pg';
import { zipfSampler } from '../demo/sampleTraffic.ts';

const DIGITS = 8;
const ADS_A_STATEMENT = 500_000;
/** Odd and not divisible by 5: with a number of ads that is a power of ten it gives each rank another ad. */
const SCATTER = 7_368_787;

export const ZIPF_EXPONENT = 1.1;
const DESTINATION = 'https://shop.example/landing?campaign=bench';

export function adId(number: number): string {
  return `ad-${String(number).padStart(DIGITS, '0')}`;
}

/** Puts ads 0 to `count` - 1 straight into the catalog. */
export async function registerAds(pool: Pool, count: number, stop: AbortSignal): Promise<void> {
  for (let from = 0; from < count; from += ADS_A_STATEMENT) {
    stop.throwIfAborted();
    await pool.query(
      `insert into ad select 'ad-' || lpad(number::text, ${DIGITS}, '0'), 'bench', 'bench', $3, 'ACTIVE'
       from generate_series($1::bigint, $2::bigint) as number`,
      [from, Math.min(from + ADS_A_STATEMENT, count) - 1, DESTINATION],
    );
  }
}

/** Any of the first `count` ads, each as often. */
export function uniformAds(count: number, random: () => number): () => string {
  return () => adId(Math.floor(random() * count));
}

/** Few of the first `count` ads get most of the clicks; neighbours in popularity are no neighbours in the catalog. */
export function zipfAds(count: number, random: () => number): () => string {
  const rank = zipfSampler(count, ZIPF_EXPONENT, random);
  return () => adId((rank() * SCATTER) % count);
}
