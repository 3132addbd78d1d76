/** UUIDv7: what is one, what is none, and the time inside it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatUuid, isUuid7, parseUuid7, uuid7TimeMs } from '../../src/domain/uuid7.ts';
import { uuid7At } from '../support/clicks.ts';

/** The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22.000Z. */
const RFC_EXAMPLE = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f';

function parsed(text: string): Uint8Array {
  const bytes = parseUuid7(text);
  if (bytes === undefined) throw new Error(`${text} is refused`);
  return bytes;
}

describe('a UUIDv7', () => {
  it('carries the time that RFC 9562 says of its example', () => {
    expect(uuid7TimeMs(parsed(RFC_EXAMPLE))).toBe(Date.UTC(2022, 1, 22, 19, 22, 22));
    expect(uuid7TimeMs(parsed(RFC_EXAMPLE))).toBe(0x017f22e279b0);
  });

  it('keeps every time of 48 bits exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (timeMs) => {
        const bytes = uuid7At(timeMs);
        expect(isUuid7(bytes)).toBe(true);
        expect(uuid7TimeMs(bytes)).toBe(timeMs);
      }),
      { examples: [[0], [2 ** 31], [2 ** 32 - 1], [2 ** 32], [2 ** 48 - 1]] },
    );
  });

  it('comes out as it went in, and is one id in capitals, too', () => {
    expect(formatUuid(parsed(RFC_EXAMPLE))).toBe(RFC_EXAMPLE);
    expect(parsed(RFC_EXAMPLE.toUpperCase())).toEqual(parsed(RFC_EXAMPLE));
    fc.assert(
      fc.property(fc.uuid({ version: 7 }), (text) => {
        expect(formatUuid(parsed(text))).toBe(text.toLowerCase());
        expect(isUuid7(parsed(text))).toBe(true);
      }),
    );
  });

  it('is what Bun makes', () => {
    const before = Date.now();
    const timeMs = uuid7TimeMs(parsed(Bun.randomUUIDv7()));
    expect(timeMs).toBeGreaterThanOrEqual(before);
    expect(timeMs).toBeLessThanOrEqual(Date.now());
  });

  it.each([
    ['a UUIDv4', '0f8fad5b-d9cb-469f-a165-70867728950e'],
    ['the variant of old Microsoft ids', '017f22e2-79b0-7cc3-d8c4-dc0c0c07398f'],
    ['the variant of NCS', '017f22e2-79b0-7cc3-18c4-dc0c0c07398f'],
    ['a digit less', RFC_EXAMPLE.slice(1)],
    ['a digit more', `${RFC_EXAMPLE}0`],
    ['a line break at the end', `${RFC_EXAMPLE}\n`],
    ['blanks around it', ` ${RFC_EXAMPLE}`],
    ['braces', `{${RFC_EXAMPLE}}`],
    ['no dashes', RFC_EXAMPLE.replaceAll('-', '')],
    ['dashes elsewhere', '017f22e27-9b0-7cc3-98c4-dc0c0c07398f'],
    ['a letter that is no digit', RFC_EXAMPLE.replace('f', 'g')],
    ['nothing', ''],
  ])('is not %s', (_what, text) => {
    expect(parseUuid7(text)).toBeUndefined();
  });

  it('has 16 bytes with version 7 and its variant', () => {
    const bytes = parsed(RFC_EXAMPLE);
    expect(isUuid7(bytes.subarray(0, 15))).toBe(false);
    expect(isUuid7(new Uint8Array([...bytes, 0]))).toBe(false);
    expect(isUuid7(new Uint8Array(0))).toBe(false);
    expect(isUuid7(bytes.with(6, 0x4c))).toBe(false);
    expect(isUuid7(bytes.with(8, 0xd8))).toBe(false);
    expect(isUuid7(bytes.with(8, 0x18))).toBe(false);
  });
});
