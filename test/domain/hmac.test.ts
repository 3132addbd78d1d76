/** HMAC-SHA256, held against Node's own. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Hmac } from '../../src/domain/hmac.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.nat(3_000).map((length) => 'x'.repeat(length)),
  fc.nat(1_500).map((length) => 'ä'.repeat(length)),
  fc.uint8Array({ maxLength: 3_000 }),
);

it('is what the standard says, for any key, whatever was hashed before', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(text, { minLength: 1 }), (key, texts) => {
      const hmac = new Hmac(key);
      for (const one of texts)
        expect(hmac.of(one).toHex()).toBe(createHmac('sha256', key).update(one).digest('hex'));
    }),
  );
});
