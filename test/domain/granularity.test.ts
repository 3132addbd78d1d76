/** Rows wider than a minute, in UTC. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketEnd, bucketStart, GRANULARITIES } from '../../src/domain/granularity.ts';

const at = (text: string) => Date.parse(text);

describe('a bucket', () => {
  it.each([
    ['MINUTE', '2024-02-29T23:59:59.999Z', '2024-02-29T23:59:00Z', '2024-03-01T00:00:00Z'],
    ['HOUR', '2024-02-29T23:59:59.999Z', '2024-02-29T23:00:00Z', '2024-03-01T00:00:00Z'],
    ['DAY', '2024-02-29T23:59:59.999Z', '2024-02-29T00:00:00Z', '2024-03-01T00:00:00Z'],
    ['MONTH', '2024-02-29T23:59:59.999Z', '2024-02-01T00:00:00Z', '2024-03-01T00:00:00Z'],
    ['MONTH', '2023-02-28T12:00:00Z', '2023-02-01T00:00:00Z', '2023-03-01T00:00:00Z'],
    ['MONTH', '2100-02-28T12:00:00Z', '2100-02-01T00:00:00Z', '2100-03-01T00:00:00Z'],
    ['MONTH', '2025-12-31T23:59:59Z', '2025-12-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['MONTH', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', '2025-02-01T00:00:00Z'],
    ['MONTH', '1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '1970-02-01T00:00:00Z'],
    ['DAY', '2025-03-30T01:30:00Z', '2025-03-30T00:00:00Z', '2025-03-31T00:00:00Z'],
  ] as const)('of a %s holds %s', (granularity, time, start, end) => {
    expect(bucketStart(at(time), granularity)).toBe(at(start));
    expect(bucketEnd(at(start), granularity)).toBe(at(end));
  });

  it('holds every moment exactly once: buckets touch and do not overlap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Date.UTC(2300, 0) }),
        fc.constantFrom(...GRANULARITIES),
        (timeMs, granularity) => {
          const start = bucketStart(timeMs, granularity);
          const end = bucketEnd(start, granularity);
          expect(start <= timeMs && timeMs < end).toBe(true);
          expect(bucketStart(start, granularity)).toBe(start);
          expect(bucketStart(end - 1, granularity)).toBe(start);
          expect(bucketStart(end, granularity)).toBe(end);
        },
      ),
    );
  });

  it('holds whole buckets of the finer ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(2300, 0) }), (timeMs) => {
        for (const [index, coarse] of GRANULARITIES.entries()) {
          for (const fine of GRANULARITIES.slice(0, index)) {
            expect(bucketStart(bucketStart(timeMs, fine), coarse)).toBe(bucketStart(timeMs, coarse));
          }
        }
      }),
    );
  });
});
