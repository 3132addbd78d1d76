/** Click URLs: what is put in must come out at the gateway, whatever the ad is called. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clickUrl } from '../../src/domain/clickUrl.ts';

describe('a click URL', () => {
  it('carries ad, impression and signature, whatever characters they have', () => {
    const text = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
    fc.assert(
      fc.property(text, text, text, (adId, impressionId, signature) => {
        const url = new URL(clickUrl('http://127.0.0.1:8080', adId, impressionId, signature));
        expect(url.pathname).toBe('/click');
        expect(Object.fromEntries(url.searchParams)).toEqual({ adId, impressionId, signature });
      }),
    );
  });

  it('keeps a path of the base and needs no plus for a blank', () => {
    expect(clickUrl('https://ads.example/go/', 'an ad', 'i', 'k1.s')).toBe(
      'https://ads.example/go/click?adId=an%20ad&impressionId=i&signature=k1.s',
    );
  });
});
