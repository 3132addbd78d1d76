/** Keys as operators write them: what is wrong is said, so that no gateway starts with half its keys. */
import { describe, expect, it } from 'vitest';
import { parseSigningKeys } from '../../src/domain/signingKey.ts';

const HEX = '000102030405060708090a0b0c0d0e0f';

describe('signing keys', () => {
  it('are read in their order: the first signs', () => {
    const outcome = parseSigningKeys(`new:${HEX}, old_1-A:${HEX.toUpperCase()}ff`);
    if (outcome.kind !== 'keys') throw new Error(outcome.why);
    expect(outcome.keys.map(({ kid }) => kid)).toEqual(['new', 'old_1-A']);
    expect(outcome.keys.map(({ secret }) => secret.toHex())).toEqual([HEX, `${HEX}ff`]);
  });

  it.each([
    ['nothing', ''],
    ['a comma too many', `k1:${HEX},`],
    ['no kid', `:${HEX}`],
    ['a kid of 17 characters', `${'k'.repeat(17)}:${HEX}`],
    ['a dot in the kid, which ends it in a signature', `k.1:${HEX}`],
    ['no secret', 'k1:'],
    ['no colon', HEX],
    ['an odd number of digits', `k1:${HEX}0`],
    ['a letter that is no digit', `k1:${HEX}0g`],
    ['a blank inside', `k1: ${HEX}`],
    ['a second colon', `k1:${HEX}:00`],
  ])('with %s are refused with what is right', (_what, text) => {
    expect(parseSigningKeys(text)).toEqual({
      kind: 'wrong',
      why: 'each key must be <kid>:<hex digits in pairs>',
    });
  });

  it('with a kid that stands there twice are refused, for nobody knows which is meant', () => {
    expect(parseSigningKeys(`k1:${HEX},k1:${HEX}ff`)).toEqual({
      kind: 'wrong',
      why: 'the key id k1 stands there twice',
    });
  });

  it('with 15 bytes are too short, with 16 they are not; the secret is never shown', () => {
    const outcome = parseSigningKeys(`k1:${HEX.slice(2)}`);
    expect(outcome).toEqual({ kind: 'wrong', why: 'the key k1 has 15 bytes, at least 16 are needed' });
    expect(JSON.stringify(outcome)).not.toContain(HEX.slice(2));
    expect(parseSigningKeys(`k1:${HEX}`).kind).toBe('keys');
  });

  it('may have a kid of 16 characters', () => {
    expect(parseSigningKeys(`${'k'.repeat(16)}:${HEX}`).kind).toBe('keys');
  });
});
