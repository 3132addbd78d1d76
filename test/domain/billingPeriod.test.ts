/** Billing periods are UTC months. */
import { describe, expect, it } from 'vitest';
import { formatPeriod, parsePeriod, periodOf } from '../../src/domain/billingPeriod.ts';

describe('a billing period', () => {
  it('is a UTC month, from its first millisecond to the first of the next', () => {
    expect(parsePeriod('2026-12')).toEqual({ startsMs: Date.UTC(2026, 11), endsMs: Date.UTC(2027, 0) });
    expect(parsePeriod('2024-02')).toEqual({ startsMs: Date.UTC(2024, 1), endsMs: Date.UTC(2024, 2) });
  });

  it.each(['2026-13', '2026-00', '2026-1', '26-01', '2026-01-01', ' 2026-01', '', 'now'])(
    'is not %j',
    (text) => {
      expect(parsePeriod(text)).toBeUndefined();
    },
  );

  it.each(['1969-12', '1970-01', '0099-03', '2024-02', '9999-12'])(
    'of any moment in %s is named so',
    (name) => {
      const period = parsePeriod(name) ?? { startsMs: Number.NaN, endsMs: Number.NaN };
      for (const ms of [period.startsMs, period.endsMs - 1]) expect(formatPeriod(periodOf(ms))).toBe(name);
      expect(periodOf(period.startsMs)).toEqual(period);
    },
  );
});
