/** Over how many shards an ad is spread: up at once, down after a calm, never without end. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decideFanOut,
  FAN_OUT_CHANGES_A_DAY_MAX,
  FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX,
  type FanOutFacts,
  HOT_FOR_MS,
  moodOf,
} from '../../src/domain/fanOut.ts';

const CALM_MS = 60_000;
const QUIET: FanOutFacts = {
  fanOut: 1,
  isOnTheWay: false,
  shards: 16,
  hotAdRate: 1_000,
  hotAdCalmMs: CALM_MS,
  mood: 'even',
  moodMs: 0,
  peak: 0,
  changesOfAd: 0,
  changesOfAll: 0,
};

/** Of an ad that had this rate for long. */
function decideAt(peak: number, facts: Partial<FanOutFacts> = {}) {
  const known = { ...QUIET, ...facts };
  return decideFanOut({ ...known, mood: moodOf(peak, known), moodMs: CALM_MS, peak, ...facts });
}

describe('a fan-out', () => {
  it.each([
    [0, 1],
    [1_000, 1],
    [1_001, 2],
    [2_000, 2],
    [2_001, 4],
    [9_000, 16],
    [1_000_000, 16],
  ])('of an ad with %d clicks a second is %d', (peak, fanOut) => {
    expect(decideAt(peak)).toEqual(fanOut === 1 ? { kind: 'keep' } : { kind: 'change', fanOut });
  });

  it('goes to all shards where these are no power of two, and not beyond', () => {
    expect(decideAt(50_000, { shards: 12, fanOut: 8 })).toEqual({ kind: 'change', fanOut: 12 });
    expect(decideAt(50_000, { shards: 12, fanOut: 12 })).toEqual({ kind: 'keep' });
    expect(decideAt(50_000, { shards: 1 })).toEqual({ kind: 'keep' });
  });

  it('is never changed while a change is on the way', () => {
    expect(decideAt(50_000, { isOnTheWay: true })).toEqual({ kind: 'keep' });
    expect(decideAt(0, { fanOut: 8, isOnTheWay: true })).toEqual({ kind: 'keep' });
  });

  it('rises when the ad is hot for seconds, and not for a burst', () => {
    expect(decideAt(9_000, { moodMs: HOT_FOR_MS - 1 })).toEqual({ kind: 'keep' });
    expect(decideAt(9_000, { moodMs: HOT_FOR_MS })).toEqual({ kind: 'change', fanOut: 16 });
  });

  it('shrinks only after a calm, to what bears twice the highest rate of it', () => {
    expect(decideAt(900, { fanOut: 16, moodMs: CALM_MS - 1 })).toEqual({ kind: 'keep' });
    expect(decideAt(900, { fanOut: 16 })).toEqual({ kind: 'change', fanOut: 2 });
    expect(decideAt(500, { fanOut: 16 })).toEqual({ kind: 'change', fanOut: 1 });
    expect(decideAt(4_001, { fanOut: 16 })).toEqual({ kind: 'keep' });
  });

  it('comes to rest at any steady rate: what was decided once is decided for good', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat({ max: 100_000 }),
        (fanOut, shards, rate) => {
          const first = decideAt(rate, { fanOut, shards });
          const then = first.kind === 'keep' ? fanOut : first.fanOut;
          expect(decideAt(rate, { fanOut: then, shards })).toEqual({ kind: 'keep' });
          // Enough for the rate, as far as there are shards.
          expect(rate <= then * 1_000 || then >= shards).toBe(true);
        },
      ),
    );
  });

  it.each([
    [
      'of the ad',
      { changesOfAd: FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX },
      { changesOfAd: FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX / 2 },
    ],
    ['of all', { changesOfAll: FAN_OUT_CHANGES_A_DAY_MAX }, { changesOfAll: FAN_OUT_CHANGES_A_DAY_MAX / 2 }],
  ])('changes so often a day and no more: the changes %s', (_, all, half) => {
    const shrink = { fanOut: 4 };
    expect(decideAt(1_500, all)).toEqual({ kind: 'exhausted', fanOut: 2 });
    expect(decideAt(0, { ...shrink, ...half })).toEqual({ kind: 'exhausted', fanOut: 1 });
    // Half of them are kept for raises.
    expect(decideAt(1_500, half)).toEqual({ kind: 'change', fanOut: 2 });
  });
});
