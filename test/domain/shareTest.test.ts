/** The exact binomial test, against published values and against sums of exact fractions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shareTest } from '../../src/domain/shareTest.ts';

/** By its definition, in whole numbers: the share is `part` of `whole`. */
function plainTest(hits: number, tries: number, part: bigint, whole: bigint): number {
  const weights: bigint[] = [];
  let choices = 1n;
  for (let outcome = 0; outcome <= tries; outcome++) {
    weights.push(choices * part ** BigInt(outcome) * (whole - part) ** BigInt(tries - outcome));
    choices = (choices * BigInt(tries - outcome)) / BigInt(outcome + 1);
  }
  const found = weights[hits] ?? 0n;
  const asRare = weights.filter((weight) => weight <= found).reduce((sum, weight) => sum + weight, 0n);
  return Number((asRare * 10n ** 15n) / whole ** BigInt(tries)) / 1e15;
}

describe('the test of a share', () => {
  it.each([
    // The example of R's binom.test, after Conover (1971): Mendel's peas.
    [682, 925, 3 / 4, 0.3825],
    // The example of Wikipedia's "Binomial test": sixes of a die.
    [51, 235, 1 / 6, 0.0437],
    // A coin: 2 of 32 outcomes are as rare.
    [0, 5, 1 / 2, 0.0625],
    [5, 5, 1 / 2, 0.0625],
    [50, 100, 1 / 2, 1],
  ])('of %d in %d by %d is as published', (hits, tries, share, expected) => {
    expect(shareTest(hits, tries, share)).toBeCloseTo(expected, 4);
  });

  it('is the sum of all outcomes that are at most as probable', () => {
    const cases = fc
      .tuple(fc.integer({ min: 1, max: 200 }), fc.nat(), fc.integer({ min: 1, max: 19 }))
      .map(([tries, hits, part]) => [hits % (tries + 1), tries, part] as const);
    fc.assert(
      fc.property(cases, ([hits, tries, part]) => {
        expect(shareTest(hits, tries, part / 20)).toBeCloseTo(plainTest(hits, tries, BigInt(part), 20n), 9);
      }),
      { numRuns: 300 },
    );
  });

  it('of many clicks is near the normal distribution, and at once', () => {
    // Two standard deviations off: 4.55 %.
    expect(shareTest(500_001_000 + 30_622_777, 1_000_000_000, 0.5)).toBe(0);
    expect(shareTest(500_031_623, 1_000_000_000, 0.5)).toBeCloseTo(0.0455, 4);
  });
});
