/** Texts by their bytes: always the text that stands there, whatever was asked for before. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TextCache } from '../../../src/adapters/nats/textCache.ts';

describe('cached texts', () => {
  test('are those of their bytes, with bytes that are no UTF-8 too', () => {
    const cache = new TextCache();
    const similar = fc.array(fc.constantFrom(0x61, 0x62, 0xc3, 0xa9, 0xff), { maxLength: 12 });
    fc.assert(
      fc.property(similar, fc.nat(3), (bytes, before) => {
        const around = Uint8Array.from([...Array<number>(before).fill(0x61), ...bytes, 0x62, 0x63]);
        const text = cache.text(around, before, before + bytes.length);
        around.fill(0x7a);
        expect(text).toBe(Buffer.from(bytes).toString());
        expect(cache.text(Uint8Array.from(bytes), 0, bytes.length)).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });

  test('differ where any byte does, and take turns where two share a place', () => {
    const cache = new TextCache();
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 20_000; number++) {
        const text = `ad-${number}-of-a-campaign`;
        const bytes = Buffer.from(text);
        if (cache.text(bytes, 0, bytes.length) !== text) expect.unreachable(text);
      }
    }
  });
});
