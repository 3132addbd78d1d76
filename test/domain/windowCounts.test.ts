/** Counts that add up (I10), with a fingerprint that tells sets of clicks apart. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addCounts,
  countClick,
  type Disposition,
  emptyCounts,
  minuteOf,
  WINDOW_CLICKS_MAX,
  type WindowCounts,
} from '../../src/domain/windowCounts.ts';
import { uuid7At } from '../support/clicks.ts';

const DISPOSITIONS: Disposition[] = ['VALID', 'REPEAT', 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'];

interface Counted {
  readonly id: number;
  readonly disposition: Disposition;
}

const clicks = fc.array(fc.record({ id: fc.nat(), disposition: fc.constantFrom(...DISPOSITIONS) }), {
  maxLength: 30,
});

function count(...portions: (readonly Counted[])[]): WindowCounts {
  const total = emptyCounts();
  for (const portion of portions) {
    const delta = emptyCounts();
    for (const { id, disposition } of portion) countClick(delta, uuid7At(1, id), disposition);
    addCounts(total, delta);
  }
  return total;
}

describe('window counts', () => {
  it('count each disposition in its own column', () => {
    for (const disposition of DISPOSITIONS) {
      const { fingerprintHigh: _high, fingerprintLow: _low, ...columns } = count([{ id: 1, disposition }]);
      const ones = Object.entries(columns).filter(([, number]) => number === 1);
      expect(ones.map(([column]) => column)).toEqual([disposition.toLowerCase()]);
      expect(Object.values(columns).reduce((sum, number) => sum + number, 0)).toBe(1);
    }
  });

  it('come out alike however the clicks are split among deltas, and in whatever order they are added', () => {
    fc.assert(
      fc.property(clicks, clicks, clicks, (first, second, third) => {
        const all = count([...first, ...second, ...third]);
        expect(count(first, second, third)).toEqual(all);
        expect(count(third, first, second)).toEqual(all);
        expect(count([...second, ...third], first)).toEqual(all);
      }),
    );
  });

  it('are not changed by nothing, and adding does not change what is added', () => {
    const delta = Object.freeze(count([{ id: 1, disposition: 'VALID' }]));
    const sum = { ...delta };
    addCounts(sum, emptyCounts());
    expect(sum).toEqual(delta);
    addCounts(emptyCounts(), delta);
    expect(sum).toEqual(delta);
  });
});

describe('the fingerprint', () => {
  const fingerprint = ({ fingerprintHigh, fingerprintLow }: WindowCounts) => [
    fingerprintHigh,
    fingerprintLow,
  ];

  it('tells apart sets of clicks that are equally many', () => {
    fc.assert(
      fc.property(
        clicks,
        fc.nat(),
        fc.nat(),
        fc.constantFrom(...DISPOSITIONS),
        (same, one, other, disposition) => {
          fc.pre(one !== other);
          const left = count(same, [{ id: one, disposition }]);
          const right = count(same, [{ id: other, disposition }]);
          expect(fingerprint(left)).not.toEqual(fingerprint(right));
          expect({ ...left, fingerprintHigh: 0, fingerprintLow: 0 }).toEqual({
            ...right,
            fingerprintHigh: 0,
            fingerprintLow: 0,
          });
        },
      ),
    );
  });

  it('tells apart which of two clicks was the valid one', () => {
    const valid = (id: number): Counted => ({ id, disposition: 'VALID' });
    const repeat = (id: number): Counted => ({ id, disposition: 'REPEAT' });
    expect(fingerprint(count([valid(1), repeat(2)]))).not.toEqual(fingerprint(count([repeat(1), valid(2)])));
    const codes = DISPOSITIONS.map((disposition) => fingerprint(count([{ id: 1, disposition }])).join());
    expect(new Set(codes).size).toBe(DISPOSITIONS.length);
  });

  it('is the one that stored counts have: another seed, code or layout would make them all wrong', () => {
    const counts = emptyCounts();
    countClick(counts, uuid7At(1_750_000_000_000, 1), 'VALID');
    expect(fingerprint(counts)).toEqual([3_179_313_342, 766_143_433]);
    countClick(counts, uuid7At(1_750_000_000_000, 2), 'TEST');
    expect(fingerprint(counts)).toEqual([4_132_942_542, 1_705_932_408]);
  });

  it('stays exact up to the most clicks of a window, each with the largest hash that there is', () => {
    const half = 2 ** 32 - 1;
    const delta = { ...emptyCounts(), valid: 1, fingerprintHigh: half, fingerprintLow: half };
    const counts = {
      ...emptyCounts(),
      fingerprintHigh: half * (WINDOW_CLICKS_MAX - 1),
      fingerprintLow: half * (WINDOW_CLICKS_MAX - 1),
    };
    addCounts(counts, delta);
    expect(BigInt(counts.fingerprintLow)).toBe(BigInt(half) * BigInt(WINDOW_CLICKS_MAX));
    expect(counts.fingerprintHigh).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    // Not by luck: one less is another number.
    expect(counts.fingerprintLow - 1).not.toBe(counts.fingerprintLow);
  });

  it('never has a half below 0 or above 32 bits for one click', () => {
    for (let id = 0; id < 2_000; id++) {
      const [high = -1, low = -1] = fingerprint(count([{ id, disposition: 'VALID' }]));
      for (const half of [high, low])
        expect(Number.isInteger(half) && half >= 0 && half < 2 ** 32).toBe(true);
    }
  });
});

describe('a minute window', () => {
  it('is half-open', () => {
    expect(minuteOf(120_000)).toBe(120_000);
    expect(minuteOf(179_999)).toBe(120_000);
    expect(minuteOf(180_000)).toBe(180_000);
    expect(minuteOf(0)).toBe(0);
  });
});
