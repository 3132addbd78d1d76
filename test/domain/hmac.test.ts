/** HMAC-SHA256, held against Node's own. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Hmac } from '../../src/domain/hmac.ts';

/** Shorter than a block of the hash, as long, and longer. */
const key = fc
  .constantFrom(0, 16, 63, 64, 65, 100)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.nat(3_000).map((length) => 'x'.repeat(length)),
  fc.nat(1_500).map((length) => 'ä'.repeat(length)),
  fc.uint8Array({ maxLength: 3_000 }),
);

it('is what the standard says, for any key, whatever was hashed before', () => {
  fc.assert(
    fc.property(key, fc.array(text, { minLength: 1 }), (secret, texts) => {
      const hmac = new Hmac(secret);
      for (const one of texts)
        expect(hmac.of(one).toHex()).toBe(createHmac('sha256', secret).update(one).digest('hex'));
    }),
  );
});

it('keeps keys apart that are used in turn', () => {
  const secrets = [1, 2, 3].map((byte) => new Uint8Array(16).fill(byte));
  const hmacs = secrets.map((secret) => new Hmac(secret));
  for (const one of ['a', 'b', 'x'.repeat(3_000), 'c']) {
    for (const [index, secret] of secrets.entries())
      expect(hmacs[index]?.of(one).toHex()).toBe(createHmac('sha256', secret).update(one).digest('hex'));
  }
});
