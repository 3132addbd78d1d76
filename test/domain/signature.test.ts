/** Signatures of click URLs. Held against node:crypto, which shares no code with Bun's hasher that signs. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSignedBy, signClick } from '../../src/domain/signature.ts';
import type { SigningKey } from '../../src/domain/signingKey.ts';

const KEY: SigningKey = { kid: 'k1', secret: Uint8Array.fromHex('000102030405060708090a0b0c0d0e0f') };
const NEW_KEY: SigningKey = { kid: 'k2', secret: new Uint8Array(32).fill(7) };
const AD = 'ad-1';
const IMPRESSION = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f';

/** Computed with `printf 'v1\nad-1\n<impression>' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…0f -binary`. */
const KNOWN = 'k1.gbty6CMiyR68jBeo6ePMP2YTDzwE8b_b-uDCiIEvvl4';

describe('a signature', () => {
  it('is the one that everybody else computes', () => {
    expect(signClick(KEY, AD, IMPRESSION)).toBe(KNOWN);
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 100, unit: 'grapheme' }),
        fc.uint8Array({ minLength: 16, maxLength: 100 }),
        (adId, secret) => {
          const mac = createHmac('sha256', secret).update(`v1\n${adId}\n${IMPRESSION}`).digest('base64url');
          expect(signClick({ kid: 'k', secret }, adId, IMPRESSION)).toBe(`k.${mac}`);
        },
      ),
    );
  });

  it('is verified by any of the keys, whichever signs now', () => {
    expect(isSignedBy([NEW_KEY, KEY], AD, IMPRESSION, KNOWN)).toBe(true);
    expect(isSignedBy([NEW_KEY, KEY], AD, IMPRESSION, signClick(NEW_KEY, AD, IMPRESSION))).toBe(true);
    expect(isSignedBy([NEW_KEY], AD, IMPRESSION, KNOWN)).toBe(false);
    expect(isSignedBy([], AD, IMPRESSION, KNOWN)).toBe(false);
  });

  it.each([
    ['another ad', 'ad-2', IMPRESSION, KNOWN],
    ['another impression', AD, IMPRESSION.replace('8f', '8e'), KNOWN],
    ['the impression in capitals', AD, IMPRESSION.toUpperCase(), KNOWN],
    ['an unknown kid', AD, IMPRESSION, KNOWN.replace('k1', 'k9')],
    ['no kid', AD, IMPRESSION, KNOWN.slice(3)],
    ['an empty kid', AD, IMPRESSION, KNOWN.slice(2)],
    ['a kid alone', AD, IMPRESSION, 'k1.'],
    ['a kid without a dot', AD, IMPRESSION, 'k1'],
    ['nothing', AD, IMPRESSION, ''],
    ['its last character gone', AD, IMPRESSION, KNOWN.slice(0, -1)],
    ['padding', AD, IMPRESSION, `${KNOWN}=`],
    ['a character more', AD, IMPRESSION, `${KNOWN}A`],
    ['a great many characters', AD, IMPRESSION, `k1.${'A'.repeat(100_000)}`],
    ['a second dot', AD, IMPRESSION, `${KNOWN}.`],
    ['a wide character', AD, IMPRESSION, `${KNOWN.slice(0, -1)}é`],
  ])('does not hold for %s', (_what, adId, impressionId, signature) => {
    expect(isSignedBy([KEY], adId, impressionId, signature)).toBe(false);
  });

  it('does not hold when any one character of the mac is another', () => {
    for (let index = 3; index < KNOWN.length; index++) {
      const other = KNOWN[index] === 'A' ? 'B' : 'A';
      const forged = `${KNOWN.slice(0, index)}${other}${KNOWN.slice(index + 1)}`;
      expect(isSignedBy([KEY], AD, IMPRESSION, forged)).toBe(false);
    }
  });

  it('of a key does not hold under the name of another', () => {
    expect(isSignedBy([KEY, NEW_KEY], AD, IMPRESSION, KNOWN.replace('k1.', 'k2.'))).toBe(false);
  });

  it('fits with the longest kid that there is', () => {
    const key = { ...KEY, kid: 'k'.repeat(16) };
    expect(isSignedBy([key], AD, IMPRESSION, signClick(key, AD, IMPRESSION))).toBe(true);
  });
});
