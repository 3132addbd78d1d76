/** Which part of a question may be remembered. */
import { describe, expect, test } from 'vitest';
import { rangeParts } from '../../src/domain/settledPart.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONDAY = Date.UTC(2025, 9, 6);
const at = (days: number, hours = 0) => MONDAY + days * DAY_MS + hours * HOUR_MS;

describe('a range', () => {
  test.each<[string, [number, number], number, [number, number, boolean][]]>([
    ['that is settled is one part', [at(0, 5), at(2, 7)], at(3), [[at(0, 5), at(2, 7), true]]],
    ['that ends where minutes are settled, too', [at(0), at(2, 7)], at(2, 7), [[at(0), at(2, 7), true]]],
    ['of which nothing is settled is one part', [at(0), at(2)], -Infinity, [[at(0), at(2), false]]],
    ['of which no whole day is settled', [at(0, 1), at(2)], at(1, 23), [[at(0, 1), at(2), false]]],
    [
      'that goes on is remembered by whole days',
      [at(0, 5), at(4, 9)],
      at(3, 8),
      [
        [at(0, 5), at(1), false],
        [at(1), at(3), true],
        [at(3), at(4, 9), false],
      ],
    ],
    [
      'that begins with a day has no part before it',
      [at(1), at(4, 9)],
      at(3),
      [
        [at(1), at(3), true],
        [at(3), at(4, 9), false],
      ],
    ],
  ])('%s', (_what, [fromMs, toMs], settledThroughMs, expected) => {
    expect(rangeParts({ fromMs, toMs }, settledThroughMs)).toEqual(
      expected.map(([fromMs, toMs, isSettled]) => ({ fromMs, toMs, isSettled })),
    );
  });

  test('is covered once by its parts, and nothing is remembered that is not settled', () => {
    for (let from = 0; from < 100; from += 7) {
      for (let to = from + 1; to < 140; to += 5) {
        for (let settled = -10; settled < 150; settled += 3) {
          const parts = rangeParts({ fromMs: at(0, from), toMs: at(0, to) }, at(0, settled));
          expect(parts[0]?.fromMs).toBe(at(0, from));
          expect(parts.at(-1)?.toMs).toBe(at(0, to));
          for (const [index, part] of parts.entries()) {
            expect(part.fromMs).toBeLessThan(part.toMs);
            if (index > 0) expect(part.fromMs).toBe(parts[index - 1]?.toMs);
            if (part.isSettled) expect(part.toMs).toBeLessThanOrEqual(at(0, settled));
          }
        }
      }
    }
  });
});
