/** Codes of countries and regions. */
import { describe, expect, it } from 'vitest';
import { countryOf, regionOf } from '../../src/domain/place.ts';

const LETTERS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const PAIRS = LETTERS.flatMap((first) => LETTERS.map((second) => first + second));

describe('a country', () => {
  it('is one of the 249 that ISO 3166-1 assigns, or Kosovo', () => {
    const countries = PAIRS.filter((code) => countryOf(code) === code);
    expect(countries).toHaveLength(250);
    // Held against the names that the engine has of them.
    const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
    expect(countries.filter((code) => names.of(code) === undefined)).toEqual([]);
  });

  it('is kept in capitals, and nothing else is one', () => {
    expect(countryOf('np')).toBe('NP');
    for (const code of ['', 'N', 'NPL', 'XX', 'T1', 'A1', 'EU', 'ZZ', 'UK', ' NP', 'toString'])
      expect(countryOf(code), code).toBe('');
  });
});

describe('a region', () => {
  it('is one of a country', () => {
    expect(regionOf('NP', 'P3')).toBe('NP-P3');
    expect(regionOf('', 'P3')).toBe('');
    expect(regionOf('NP', '')).toBe('');
    expect(regionOf('NP', 'Bagmati')).toBe('');
  });
});
