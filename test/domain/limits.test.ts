/** Limits in bytes of UTF-8 on texts that JavaScript counts in UTF-16. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut, fits, isId } from '../../src/domain/limits.ts';

/** Characters of 1 to 4 bytes, at the borders where their number changes. */
const CHARACTERS = [
  'a',
  '\u0000',
  '\u007f',
  '\u0080',
  'é',
  '\u07ff',
  '\u0800',
  '€',
  '\uffff',
  '\u{10000}',
  '😀',
  '\u{10ffff}',
];
const text = fc
  .array(fc.constantFrom(...CHARACTERS), { maxLength: 40 })
  .map((characters) => characters.join(''));
const bytesMax = fc.integer({ min: 0, max: 80 });

describe('fits', () => {
  it('agrees with the length in bytes, for any text', () => {
    fc.assert(
      fc.property(text, bytesMax, (given, max) => {
        expect(fits(given, max)).toBe(new TextEncoder().encode(given).length <= max);
      }),
      {
        examples: [
          ['€', 2],
          ['€', 3],
          ['😀', 3],
          ['😀', 4],
          ['', 0],
        ],
      },
    );
  });
});

describe('cut', () => {
  it('gives the longest beginning that fits, and never a part of a character', () => {
    fc.assert(
      fc.property(text, bytesMax, (given, max) => {
        const characters = [...given];
        let right = '';
        for (const character of characters) {
          if (Buffer.byteLength(right + character) > max) break;
          right += character;
        }
        expect(cut(given, max)).toBe(right);
      }),
      {
        examples: [
          ['a😀', 4],
          ['a😀', 5],
          ['ééé', 5],
          ['😀', 1],
          ['', 0],
        ],
      },
    );
  });

  it('says what a text with half a surrogate pair fits into without cutting a character', () => {
    expect(cut('ab\ud800cd', 5)).toBe('ab\ufffd');
    expect(cut('ab\ud800cd', 4)).toBe('ab');
  });
});

describe('an id', () => {
  it('has 1 to the largest number of bytes', () => {
    expect(isId('', 8)).toBe(false);
    expect(isId('a', 8)).toBe(true);
    expect(isId('12345678', 8)).toBe(true);
    expect(isId('123456789', 8)).toBe(false);
    expect(isId('éééé', 8)).toBe(true);
    expect(isId('ééééé', 8)).toBe(false);
  });

  it('has no control characters, wherever they stand', () => {
    for (let code = 0; code < 0x20; code++) {
      const control = String.fromCharCode(code);
      for (const id of [`${control}a`, `a${control}b`, `a${control}`]) expect(isId(id, 8)).toBe(false);
    }
    expect(isId('a\u007f', 8)).toBe(false);
    expect(isId('a b/ü"\\', 16)).toBe(true);
  });
});
