/** Rows wider than a minute, in UTC and in zones whose clocks are changed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buckets } from '../../src/domain/buckets.ts';
import { GRANULARITIES, type Granularity } from '../../src/domain/granularity.ts';
import { tiersOf } from '../../src/domain/tiers.ts';
import { isTimeZone } from '../../src/domain/timeZone.ts';

const HOUR_MS = 3_600_000;
const at = (text: string) => Date.parse(text);

function bucketOf(timeMs: number, granularity: Granularity, zone: string): [number, number] {
  const buckets = new Buckets({ fromMs: timeMs, toMs: timeMs + 1 }, granularity, zone);
  return [buckets.startOf(timeMs), buckets.endOf(timeMs)];
}

const shown = (borders: readonly number[]) => borders.map((ms) => new Date(ms).toISOString().slice(0, 16));

describe('a bucket', () => {
  it.each([
    ['MINUTE', 'UTC', '2024-02-29T23:59:59.999Z', '2024-02-29T23:59:00Z', '2024-03-01T00:00:00Z'],
    ['HOUR', 'UTC', '2024-02-29T23:59:59.999Z', '2024-02-29T23:00:00Z', '2024-03-01T00:00:00Z'],
    ['DAY', 'UTC', '2024-02-29T23:59:59.999Z', '2024-02-29T00:00:00Z', '2024-03-01T00:00:00Z'],
    ['WEEK', 'UTC', '2024-02-29T23:59:59.999Z', '2024-02-26T00:00:00Z', '2024-03-04T00:00:00Z'],
    ['WEEK', 'UTC', '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', '2024-01-08T00:00:00Z'],
    ['MONTH', 'UTC', '2023-02-28T12:00:00Z', '2023-02-01T00:00:00Z', '2023-03-01T00:00:00Z'],
    ['MONTH', 'UTC', '2100-02-28T12:00:00Z', '2100-02-01T00:00:00Z', '2100-03-01T00:00:00Z'],
    ['MONTH', 'UTC', '2025-12-31T23:59:59Z', '2025-12-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['MONTH', 'UTC', '1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '1970-02-01T00:00:00Z'],
    ['DAY', 'Asia/Kathmandu', '2024-02-29T18:15:00Z', '2024-02-29T18:15:00Z', '2024-03-01T18:15:00Z'],
    ['HOUR', 'Asia/Kathmandu', '2024-02-29T18:14:59Z', '2024-02-29T17:15:00Z', '2024-02-29T18:15:00Z'],
    ['MONTH', 'Asia/Kathmandu', '2024-02-29T18:15:00Z', '2024-02-29T18:15:00Z', '2024-03-31T18:15:00Z'],
    // 23 and 25 hours.
    ['DAY', 'America/New_York', '2024-03-10T12:00:00Z', '2024-03-10T05:00:00Z', '2024-03-11T04:00:00Z'],
    ['DAY', 'America/New_York', '2024-11-03T12:00:00Z', '2024-11-03T04:00:00Z', '2024-11-04T05:00:00Z'],
    ['WEEK', 'America/New_York', '2024-11-03T12:00:00Z', '2024-10-28T04:00:00Z', '2024-11-04T05:00:00Z'],
    // The clock goes from 1:00 back to 0:00: both of them are in the day.
    ['DAY', 'America/Havana', '2024-11-03T04:30:00Z', '2024-11-03T04:00:00Z', '2024-11-04T05:00:00Z'],
    // It goes from 0:01 back to 23:01 of the day before: that day ended when it first was over.
    ['DAY', 'America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30:00Z', '2010-11-08T03:30:00Z'],
    // It goes from 0:00 on to 1:00: the day begins there.
    ['DAY', 'America/Sao_Paulo', '2018-11-04T05:00:00Z', '2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z'],
    // Samoa left 30 December 2011 out.
    ['DAY', 'Pacific/Apia', '2011-12-30T09:59:00Z', '2011-12-29T10:00:00Z', '2011-12-30T10:00:00Z'],
  ] as const)('of a %s in %s holds %s', (granularity, zone, time, start, end) => {
    expect(bucketOf(at(time), granularity, zone)).toEqual([at(start), at(end)]);
  });

  it('of an hour in which the clock is changed is cut there', () => {
    // Lord Howe goes by half an hour: from 2:00 on to 2:30, and from 2:00 back to 1:30.
    const spring = { fromMs: at('2024-10-05T14:00Z'), toMs: at('2024-10-05T17:00Z') };
    expect(shown(new Buckets(spring, 'HOUR', 'Australia/Lord_Howe').borders ?? [])).toEqual([
      '2024-10-05T13:30',
      '2024-10-05T14:30',
      '2024-10-05T15:30',
      '2024-10-05T16:00',
      '2024-10-05T17:00',
    ]);
    const autumn = { fromMs: at('2024-04-06T14:00Z'), toMs: at('2024-04-06T16:00Z') };
    expect(shown(new Buckets(autumn, 'HOUR', 'Australia/Lord_Howe').borders ?? [])).toEqual([
      '2024-04-06T14:00',
      '2024-04-06T15:00',
      '2024-04-06T15:30',
      '2024-04-06T16:30',
    ]);
    // And it is cut for who asks of a part of it.
    const after = { fromMs: at('2024-04-06T15:30Z'), toMs: at('2024-04-06T15:31Z') };
    expect(new Buckets(after, 'HOUR', 'Australia/Lord_Howe').startOf(after.fromMs)).toBe(after.fromMs);
  });
});

const zones = fc.constantFrom(
  ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'Africa/Monrovia'),
);
const range = fc
  .tuple(fc.integer({ min: 0, max: Date.UTC(2040, 0) / 60_000 }), fc.integer({ min: 1, max: 60 * 1_440 }))
  .map(([from, length]) => ({ fromMs: from * 60_000, toMs: (from + length) * 60_000 }));

describe('buckets of any zone', () => {
  it('hold every moment exactly once, and are the same for every range', () => {
    fc.assert(
      fc.property(zones, range, fc.constantFrom(...GRANULARITIES), (zone, { fromMs, toMs }, granularity) => {
        const buckets = new Buckets({ fromMs, toMs }, granularity, zone);
        let endMs = buckets.startOf(fromMs);
        expect(endMs).toBeLessThanOrEqual(fromMs);
        let count = 0;
        for (const startMs of buckets.starts()) {
          const touches = startMs === endMs;
          endMs = buckets.endOf(startMs);
          const holds = endMs > startMs && buckets.startOf(Math.min(endMs, toMs) - 1) === startMs;
          if (!touches || !holds) expect.fail(`the bucket at ${startMs} of ${zone}`);
          if (count++ > 20) continue;
          expect(bucketOf(Math.max(startMs, fromMs), granularity, zone)).toEqual([startMs, endMs]);
        }
        expect(endMs).toBeGreaterThanOrEqual(toMs);
      }),
      { numRuns: 150 },
    );
  });

  it('are read from tiers that hold every moment of them exactly once, whole ones inside one bucket', () => {
    fc.assert(
      fc.property(zones, range, fc.constantFrom(...GRANULARITIES), (zone, { fromMs, toMs }, granularity) => {
        const buckets = new Buckets({ fromMs, toMs }, granularity, zone);
        const { days, hours, minutes } = tiersOf({ fromMs, toMs }, buckets);
        const spans = [...days, ...hours, ...minutes].sort((left, right) => left.fromMs - right.fromMs);
        let endMs = fromMs;
        for (const span of spans) {
          if (span.fromMs !== endMs) expect.fail(`${endMs} of ${zone}`);
          endMs = span.toMs;
        }
        expect(endMs).toBe(toMs);
        for (const [stepMs, tier] of [
          [24 * HOUR_MS, days],
          [HOUR_MS, hours],
        ] as const) {
          for (const span of tier) {
            expect([span.fromMs % stepMs, span.toMs % stepMs]).toEqual([0, 0]);
            for (let ms = span.fromMs; ms < span.toMs; ms += stepMs) {
              if (buckets.startOf(ms + stepMs - 1) !== buckets.startOf(ms)) expect.fail(`${ms} of ${zone}`);
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('the name of a time zone', () => {
  it.each(['UTC', 'Asia/Kathmandu', 'asia/kathmandu', 'US/Eastern', 'Etc/GMT+5'])('may be %s', (name) => {
    expect(isTimeZone(name)).toBe(true);
  });

  it.each(['', '+05:45', '-03', 'Nowhere/Town', 'GMT+5'])('is not "%s"', (name) => {
    expect(isTimeZone(name)).toBe(false);
  });
});
