/** The demo's traffic: what it claims to be, and the same for the same seed. */
import { isbot } from 'isbot';
import { describe, expect, it } from 'vitest';
import { UserAgents } from '../../src/adapters/useragent/userAgents.ts';
import { SAMPLE_ADS } from '../../src/cli/demo/sampleAds.ts';
import {
  type SampleClick,
  SampleTraffic,
  SHARES,
  seededRandom,
  zipfSampler,
} from '../../src/cli/demo/sampleTraffic.ts';
import { countryOf } from '../../src/domain/place.ts';

const CLICKS = 50_000;

function sample(seed: number): SampleClick[] {
  let made = 0;
  const traffic = new SampleTraffic(['first', 'second', 'third', 'fourth'], seededRandom(seed), () => {
    made += 1;
    return `impression-${made}`;
  });
  return Array.from({ length: CLICKS }, () => traffic.next());
}

describe('sample traffic', () => {
  it('is the same for the same seed and another for another', () => {
    expect(sample(1)).toEqual(sample(1));
    expect(sample(1)).not.toEqual(sample(2));
  });

  it.each([1, 2, 3])('has the shares it claims (seed %i)', (seed) => {
    const clicks = sample(seed);
    for (const [kind, share] of Object.entries(SHARES)) {
      const found = clicks.filter((click) => click.kind === kind).length / CLICKS;
      // Five standard deviations of a share near 0.1 over 50,000 clicks.
      expect(Math.abs(found - share)).toBeLessThan(0.007);
    }
  });

  it('has something to show in every dimension', () => {
    const clicks = sample(6).filter(({ kind }) => kind !== 'bot');
    const userAgents = new UserAgents();
    const found = clicks.map(({ person }) => userAgents.read(person.userAgent));
    const countries = clicks.map(({ person: { country } }) => country);
    expect(new Set(countries).size).toBeGreaterThan(9);
    for (const country of countries) if (countryOf(country) !== country) expect.unreachable(country);
    const devices = [...new Set(found.map(({ deviceType }) => deviceType))].sort();
    expect(devices).toEqual(['desktop', 'phone', 'tablet', 'tv']);
    expect(new Set(found.map(({ os }) => os)).size).toBeGreaterThan(4);
    expect(new Set(found.map(({ browser }) => browser)).size).toBeGreaterThan(6);
    expect(new Set(clicks.map(({ publisherId }) => publisherId)).size).toBeGreaterThan(4);
    expect(new Set(clicks.map(({ placementId }) => placementId)).size).toBeGreaterThan(15);
    expect(new Set(clicks.map(({ creativeId }) => creativeId)).size).toBe(4 * 3);
    expect(new Set(clicks.map(({ person: { address } }) => address)).size).toBeGreaterThan(10_000);
  });

  it('has a click in three or so reported by an ad server, none of them with a URL that could be tampered with', () => {
    const clicks = sample(7);
    const reported = clicks.filter(({ isReported }) => isReported);
    expect(reported.length / CLICKS).toBeGreaterThan(0.35);
    expect(reported.length / CLICKS).toBeLessThan(0.42);
    expect(reported.some(({ kind }) => kind === 'tampered')).toBe(false);
  });

  it('repeats only what was clicked before, ad and impression alike', () => {
    const seen = new Map<string, string>();
    for (const { kind, adId, impressionId } of sample(4)) {
      if (kind === 'repeat') expect(seen.get(impressionId)).toBe(adId);
      else expect(seen.has(impressionId)).toBe(false);
      if (kind === 'fresh') seen.set(impressionId, adId);
    }
  });

  it('has programs that declare themselves, and nobody else taken for one', () => {
    for (const { kind, person } of sample(5)) expect(isbot(person.userAgent)).toBe(kind === 'bot');
  });

  it('gives rank r a share in proportion to 1 / (r + 1)', () => {
    const rank = zipfSampler(4, 1, seededRandom(6));
    const counts = [0, 0, 0, 0];
    for (let drawn = 0; drawn < CLICKS; drawn += 1) {
      const drawnRank = rank();
      counts[drawnRank] = (counts[drawnRank] ?? 0) + 1;
    }
    const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
    counts.forEach((count, index) => {
      expect(Math.abs(count / CLICKS - 1 / (index + 1) / harmonic)).toBeLessThan(0.012);
    });
  });
});

describe('the sample ads', () => {
  it('are twenty of different names, most popular first, with destinations that the catalog takes', () => {
    expect(SAMPLE_ADS).toHaveLength(20);
    expect(new Set(SAMPLE_ADS.map(({ ad_id }) => ad_id)).size).toBe(20);
    expect(SAMPLE_ADS.every(({ destination_url }) => URL.canParse(destination_url ?? ''))).toBe(true);
  });
});
