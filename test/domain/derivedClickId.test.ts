/** Ids of imported rows: the promise that a second import changes nothing rests on them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { derivedClickId, UUID7_TIME_MS_MAX } from '../../src/domain/derivedClickId.ts';

const VERSION_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const fileName = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const rowNumber = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const timeMs = fc.integer({ min: 0, max: UUID7_TIME_MS_MAX });

function timeInside(uuid: string): number {
  return Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16);
}

describe('the derived click id', () => {
  it('is a UUIDv7 in canonical form that carries the event time', () => {
    fc.assert(
      fc.property(fileName, rowNumber, timeMs, (name, row, time) => {
        const id = derivedClickId(name, row, time);
        expect(id).toMatch(VERSION_7);
        expect(timeInside(id)).toBe(time);
      }),
    );
  });

  it('is the same for the same row, whenever it is made', () => {
    fc.assert(
      fc.property(fileName, rowNumber, timeMs, (name, row, time) => {
        expect(derivedClickId(name, row, time)).toBe(derivedClickId(name, row, time));
      }),
    );
    // Ids that were handed out must never change: a later version would count old files again.
    expect(derivedClickId('talkingdata-clicks.csv.gz', 1, 1_509_984_000_000)).toBe(
      '015f920f-5800-7926-9501-2895d4f0b168',
    );
  });

  it('differs by row and by file, also where the texts put together are alike', () => {
    fc.assert(
      fc.property(fileName, rowNumber, rowNumber, timeMs, (name, one, other, time) => {
        fc.pre(one !== other);
        expect(derivedClickId(name, one, time)).not.toBe(derivedClickId(name, other, time));
      }),
    );
    expect(derivedClickId('clicks1', 2, 0)).not.toBe(derivedClickId('clicks', 12, 0));
  });

  it('never meets itself in a hundred thousand rows of one minute', () => {
    const seen = new Set<string>();
    for (let row = 1; row <= 100_000; row += 1)
      seen.add(derivedClickId('clicks.csv', row, 1_509_984_000_000));
    expect(seen.size).toBe(100_000);
  });

  it('refuses a time that a UUIDv7 cannot hold and says what would fit', () => {
    for (const time of [-1, 0.5, Number.NaN, UUID7_TIME_MS_MAX + 1]) {
      expect(() => derivedClickId('clicks.csv', 1, time)).toThrow(
        `eventTimeMs ${time} does not fit a UUIDv7`,
      );
    }
  });
});
