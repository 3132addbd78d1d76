/** The whole rate of an ad is what all gateways that were heard lately say of it. */
import { describe, expect, it } from 'vitest';
import { ANNOUNCEMENT_HOLDS_MS, AnnouncedRates } from '../../src/domain/announcedRates.ts';
import type { AdRate } from '../../src/domain/clickRates.ts';
import { NOON_MS } from '../support/clicks.ts';

const says = (gateway: string, ...rates: AdRate[]) => ({ gateway, hotAdRate: 100, rates });

describe('announced rates', () => {
  it('add up over gateways; of each gateway the last word counts', () => {
    const rates = new AnnouncedRates();
    rates.hear(says('one', ['a', 50], ['b', 7]), NOON_MS);
    rates.hear(says('two', ['a', 5]), NOON_MS);
    rates.hear(says('one', ['a', 60]), NOON_MS + 1_000);
    expect([...rates.whole(NOON_MS + 1_000)]).toEqual([['a', 65]]);
  });

  it('are forgotten when a gateway is not heard any more, also where the clock was set back', () => {
    const rates = new AnnouncedRates();
    rates.hear(says('one', ['a', 50]), NOON_MS);
    expect(rates.lately(NOON_MS + ANNOUNCEMENT_HOLDS_MS)).toHaveLength(1);
    expect(rates.lately(NOON_MS + ANNOUNCEMENT_HOLDS_MS + 1)).toEqual([]);
    rates.hear(says('one', ['a', 50]), NOON_MS);
    expect(rates.whole(NOON_MS - 60_000).size).toBe(0);
  });

  it('are held of a bounded number of gateways', () => {
    const rates = new AnnouncedRates();
    for (let number = 0; number < 5_000; number++) rates.hear(says(`gateway-${number}`, ['a', 1]), NOON_MS);
    expect(rates.whole(NOON_MS).get('a')).toBe(1_024);
    rates.hear(says('gateway-0', ['a', 2]), NOON_MS);
    expect(rates.whole(NOON_MS).get('a')).toBe(1_025);
  });
});
