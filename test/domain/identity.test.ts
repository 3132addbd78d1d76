/** What dedup goes by (I3). The hashes are a stored format: what is in Redis and on which shard a click lies. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import {
  AD_ID_HASHED_BYTES_MAX,
  CLICK_HASH_BYTES,
  IDENTITY_HASH_BYTES,
  routingTimeMs,
  writeClickHash,
  writeIdentityHash,
} from '../../src/domain/identity.ts';
import { factsOf, NOON_MS, uuid7At } from '../support/clicks.ts';

function identityHash(facts: ClickFacts): string {
  const view = new DataView(new ArrayBuffer(IDENTITY_HASH_BYTES));
  writeIdentityHash(facts, view, 0);
  return new Uint8Array(view.buffer).toHex();
}

function clickHash(facts: ClickFacts): string {
  const view = new DataView(new ArrayBuffer(CLICK_HASH_BYTES));
  writeClickHash(facts, view, 0);
  return new Uint8Array(view.buffer).toHex();
}

describe('an identity', () => {
  it('is the same for all clicks on one impression of an ad', () => {
    const first = factsOf();
    const second = factsOf({ clickId: uuid7At(NOON_MS + 9_000, 7), eventTimeMs: 1, userAgent: undefined });
    expect(identityHash(second)).toBe(identityHash(first));
    expect(clickHash(second)).not.toBe(clickHash(first));
  });

  it('is another for another ad, impression or click', () => {
    const bare = factsOf({ impressionId: undefined });
    const all = [
      factsOf(),
      factsOf({ adId: 'ad-2' }),
      factsOf({ adId: 'ad-1 ' }),
      factsOf({ impressionId: uuid7At(NOON_MS - 2_000, 3) }),
      bare,
      { ...bare, adId: 'ad-2' },
      { ...bare, clickId: uuid7At(NOON_MS, 9) },
    ];
    expect(new Set(all.map(identityHash)).size).toBe(all.length);
  });

  it('keeps an impression and a click of the same id apart', () => {
    const id = uuid7At(NOON_MS, 5);
    expect(identityHash(factsOf({ clickId: id, impressionId: undefined }))).not.toBe(
      identityHash(factsOf({ clickId: id, impressionId: id })),
    );
  });

  it('depends on the ad and that id alone, for any ad', () => {
    const adId = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
    fc.assert(
      fc.property(adId, adId, fc.nat(), fc.nat(), (one, other, first, second) => {
        const left = factsOf({ adId: one, impressionId: uuid7At(NOON_MS, first) });
        const right = factsOf({ adId: other, impressionId: uuid7At(NOON_MS, second) });
        expect(identityHash(left) === identityHash(right)).toBe(one === other && first === second);
        // The scratch space that is shared between calls leaves nothing behind.
        identityHash(factsOf({ adId: 'x'.repeat(200) }));
        expect(identityHash(left)).toBe(identityHash({ ...left }));
      }),
    );
  });

  it('has the time of its own id: never the event time, which a retry may stamp anew', () => {
    expect(routingTimeMs(factsOf({ eventTimeMs: 1, receivedMs: 2 }))).toBe(NOON_MS - 2_000);
    expect(routingTimeMs(factsOf({ impressionId: undefined, eventTimeMs: 1 }))).toBe(NOON_MS);
  });

  it('is written where it was asked for and nowhere else', () => {
    const view = new DataView(new ArrayBuffer(40));
    writeIdentityHash(factsOf(), view, 3);
    writeClickHash(factsOf(), view, 20);
    const bytes = new Uint8Array(view.buffer);
    expect(bytes.subarray(3, 15).toHex()).toBe(identityHash(factsOf()));
    expect(bytes.subarray(20, 28).toHex()).toBe(clickHash(factsOf()));
    expect(
      [...bytes.subarray(0, 3), ...bytes.subarray(15, 20), ...bytes.subarray(28)].every((byte) => byte === 0),
    ).toBe(true);
  });

  it('of an ad_id longer than any gateway lets through is refused, not cut', () => {
    expect(() => identityHash(factsOf({ adId: 'x'.repeat(AD_ID_HASHED_BYTES_MAX + 1) }))).toThrow(RangeError);
    expect(() => identityHash(factsOf({ adId: 'é'.repeat(AD_ID_HASHED_BYTES_MAX / 2 + 1) }))).toThrow(
      RangeError,
    );
    expect(() => identityHash(factsOf({ adId: 'é'.repeat(AD_ID_HASHED_BYTES_MAX / 2) }))).not.toThrow();
  });

  it('has the hashes that are stored already: another seed or layout would forget every click', () => {
    expect(identityHash(factsOf())).toBe('ba55384dd713f7e2e396bab0');
    expect(identityHash(factsOf({ impressionId: undefined }))).toBe('bb7843f23dc50a96e4608961');
    expect(identityHash(factsOf({ adId: 'Ünï-ad' }))).toBe('f7afc5f6b9fa97e47c9af88a');
    expect(clickHash(factsOf())).toBe('40cad89e557c7a31');
  });
});
