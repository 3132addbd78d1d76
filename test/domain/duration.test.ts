/** Durations as operators write them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../src/domain/duration.ts';

describe('a duration', () => {
  it.each([
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['10y', 10 * 365 * 86_400_000],
    ['007s', 7_000],
  ])('%s has %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '10',
    's',
    '1.5h',
    '-1s',
    '+1s',
    '1 s',
    ' 1s',
    '1s ',
    '1s\n',
    '1S',
    '1min',
    '1w',
    '1e3s',
    '1h30m',
    '1234567890s',
    '٣s',
  ])('is not %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it('is written in the shortest way that reads back as the same', () => {
    expect([0, 999, 1_000, 90_000, 3_600_000, 86_400_000, 365 * 86_400_000].map(formatDuration)).toEqual([
      '0ms',
      '999ms',
      '1s',
      '90s',
      '1h',
      '1d',
      '1y',
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.constantFrom('ms', 's', 'm', 'h'),
        (amount, unit) => {
          const ms = parseDuration(`${amount}${unit}`) ?? Number.NaN;
          expect(parseDuration(formatDuration(ms))).toBe(ms);
          expect(formatDuration(ms).length).toBeLessThanOrEqual(
            `${amount}${unit}`.length + (ms === 0 ? 1 : 0),
          );
        },
      ),
    );
  });
});
