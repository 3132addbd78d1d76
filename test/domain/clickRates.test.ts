/** Rates follow what comes within seconds, and are those of steady clicks in the end. */
import { describe, expect, it } from 'vitest';
import { ANNOUNCED_ADS_MAX, ClickRates } from '../../src/domain/clickRates.ts';

function rateAfter(rates: ClickRates, windows: number, clicksAWindow: number, windowMs = 1_000): number {
  let rate = 0;
  for (; windows > 0; windows--) {
    rates.add('ad', clicksAWindow);
    rate = new Map(rates.endWindow(windowMs)).get('ad') ?? 0;
  }
  return rate;
}

describe('a rate', () => {
  it.each([100, 1_000, 2_500])('of steady clicks is what it is, with windows of %d ms', (windowMs) => {
    const clicks = 3 * windowMs;
    expect(rateAfter(new ClickRates(), 60_000 / windowMs, clicks, windowMs)).toBeCloseTo(3_000, -1);
  });

  it('shows most of a change within four seconds, and less than half of one odd second', () => {
    expect(rateAfter(new ClickRates(), 4, 1_000)).toBeGreaterThan(850);
    expect(rateAfter(new ClickRates(), 1, 1_000)).toBeLessThan(450);
  });

  it('is gone soon after the clicks', () => {
    const rates = new ClickRates();
    rateAfter(rates, 20, 10_000);
    expect(rateAfter(rates, 8, 0)).toBeLessThan(200);
    expect(rateAfter(rates, 60, 0)).toBe(0);
  });

  it('of a hot ad is right to a hundredth of all clicks among a million others', () => {
    const rates = new ClickRates();
    let said = new Map<string, number>();
    for (let window = 0; window < 20; window++) {
      for (let number = 0; number < 10_000; number++) {
        rates.add(`cold-${window * 10_000 + number}`, 1);
        if (number % 10 === 0) rates.add('hot', 1);
      }
      said = new Map(rates.endWindow(1_000));
    }
    expect(said.get('hot')).toBeGreaterThan(1_000 - 110);
    expect(said.get('hot')).toBeLessThanOrEqual(1_000);
  });

  it('is told of a bounded number of ads, the busiest first', () => {
    const rates = new ClickRates();
    for (let number = 0; number < 1_000; number++) rates.add(`ad-${number}`, 1_000 + number);
    const told = rates.endWindow(1_000);
    expect(told).toHaveLength(ANNOUNCED_ADS_MAX);
    expect(told[0]?.[0]).toBe('ad-999');
  });
});
