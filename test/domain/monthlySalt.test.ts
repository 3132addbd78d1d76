/** The salt of user keys: one a month of the event time, the same for everybody who has the secret. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MonthlySalt } from '../../src/domain/monthlySalt.ts';

const SECRET = new Uint8Array(16).fill(5);
const PERSON = 'user\nsomebody';

/** As somebody would write it who knows the rule alone. */
function expected(month: string): string {
  const salt = createHmac('sha256', SECRET).update(`month\n${month}`).digest();
  return createHmac('sha256', salt).update(PERSON).digest('hex');
}

const keyAt = (salt: MonthlySalt, timeMs: number) => salt.at(timeMs).of(PERSON).toHex();

describe('the salt of a month', () => {
  it('is made of the secret and the month, whatever months came before', () => {
    const salt = new MonthlySalt(SECRET);
    const moment = fc.oneof(
      fc.integer({ min: 0, max: Date.UTC(2100, 0) }),
      // Their ends and beginnings.
      fc
        .tuple(fc.nat(1_500), fc.constantFrom(-1, 0, 1))
        .map(([month, more]) => Math.max(0, Date.UTC(1970, month) + more)),
    );
    fc.assert(
      fc.property(fc.array(moment, { minLength: 1 }), (moments) => {
        for (const timeMs of moments) {
          const month = new Date(timeMs).toISOString().slice(0, 7);
          expect(keyAt(salt, timeMs), month).toBe(expected(month));
        }
      }),
    );
  });

  it('changes with the first millisecond of a UTC month, and at no other', () => {
    const salt = new MonthlySalt(SECRET);
    const march = Date.UTC(2028, 2);
    expect(keyAt(salt, march - 1)).toBe(expected('2028-02'));
    expect(keyAt(salt, march)).toBe(expected('2028-03'));
    expect(keyAt(salt, march - 29 * 86_400_000)).toBe(expected('2028-02'));
    expect(keyAt(salt, march - 29 * 86_400_000 - 1)).toBe(expected('2028-01'));
  });

  it('is another one for another secret', () => {
    const other = new MonthlySalt(new Uint8Array(16).fill(6));
    expect(keyAt(other, 0)).not.toBe(expected('1970-01'));
  });

  it('takes any time that a click may claim', () => {
    const salt = new MonthlySalt(SECRET);
    expect(keyAt(salt, 2 ** 53 - 1)).toBe(expected('275760-09'));
    expect(keyAt(salt, 2 ** 53 - 2)).toBe(expected('275760-09'));
    expect(keyAt(salt, 0)).toBe(expected('1970-01'));
  });

  it('costs no more memory the more months there are', () => {
    const salt = new MonthlySalt(SECRET);
    const seen = new Set(Array.from({ length: 600 }, (_, month) => salt.at(Date.UTC(1970, month))));
    expect(seen.size).toBe(600);
    // The first ones are gone, and are the same when they are made again.
    expect(seen).not.toContain(salt.at(0));
    expect(keyAt(salt, 0)).toBe(expected('1970-01'));
  });
});
