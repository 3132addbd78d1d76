/** What is said of a key, held against an exact count. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeavyHitters } from '../../src/domain/heavyHitters.ts';

const COUNTERS = 7;

type Step =
  | { readonly kind: 'add'; readonly key: string; readonly weight: number }
  | { readonly kind: 'scale'; readonly factor: number };

/** Few keys often, many keys seldom, in any order; now and then everything loses weight. */
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      key: fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.nat({ max: 60 }).map(String)),
      weight: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('scale' as const), factor: fc.constantFrom(0.25, 0.5, 0.75) }),
  },
);

function play(steps: readonly Step[]) {
  const hitters = new HeavyHitters(COUNTERS);
  const exact = new Map<string, number>();
  for (const one of steps) {
    if (one.kind === 'add') {
      hitters.add(one.key, one.weight);
      exact.set(one.key, (exact.get(one.key) ?? 0) + one.weight);
    } else {
      hitters.scale(one.factor);
      for (const [key, count] of exact) exact.set(key, count * one.factor);
    }
  }
  return { hitters, exact, held: new Map(hitters.top(Infinity).map(({ key, least }) => [key, least])) };
}

describe('heavy hitters', () => {
  it('are right within the bound for every key, held or not, whatever comes in whichever order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const { hitters, exact, held } = play(steps);
        const total = [...exact.values()].reduce((sum, count) => sum + count, 0);
        const rounding = 1e-9 * total;
        expect(held.size).toBeLessThanOrEqual(COUNTERS);
        expect(hitters.missed).toBeLessThanOrEqual((2 * total) / (COUNTERS + 1) + rounding);
        for (const [key, count] of exact) {
          const least = held.get(key) ?? 0;
          expect(least).toBeLessThanOrEqual(count + rounding);
          expect(least + hitters.missed).toBeGreaterThanOrEqual(count - rounding);
        }
        for (const key of held.keys()) expect(exact.has(key)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('miss no more than the bound where the same heavy ones stay for long, and forget what they missed with the rest', () => {
    const hitters = new HeavyHitters(COUNTERS);
    let total = 0;
    const add = (key: string, weight: number) => {
      hitters.add(key, weight);
      total += weight;
    };
    for (const key of ['x', 'y', 'z']) add(key, 900);
    for (let round = 0; round < 500; round++) {
      for (const key of ['a', 'b', 'c', 'd']) add(`${key}${round}`, 1);
      add(`e${round}`, 5);
    }
    expect(hitters.missed).toBeGreaterThan(0);
    expect(hitters.missed).toBeLessThanOrEqual((2 * total) / (COUNTERS + 1));
    hitters.scale(0.001);
    expect(hitters.missed).toBeLessThanOrEqual((0.002 * total) / (COUNTERS + 1));
  });

  it('are exact while there are no more keys than counters', () => {
    const { hitters, exact, held } = play(
      Array.from({ length: 100 }, (_, number) => ({
        kind: 'add',
        key: `${number % COUNTERS}`,
        weight: number,
      })),
    );
    expect(held).toEqual(exact);
    expect(hitters.missed).toBe(0);
  });

  it('come with the heaviest first, and no more than were asked for', () => {
    const hitters = new HeavyHitters(10);
    for (const [key, weight] of [
      ['x', 3],
      ['y', 9],
      ['z', 5],
    ] as const)
      hitters.add(key, weight);
    expect(hitters.top(2)).toEqual([
      { key: 'y', least: 9 },
      { key: 'z', least: 5 },
    ]);
  });
});
