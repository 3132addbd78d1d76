/** The site of a referrer: the same for ever, whatever a sender wrote. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { referrerDomain } from '../../src/domain/referrerDomain.ts';

describe('the site of a referrer', () => {
  test.each([
    ['https://www.Example.com/a?b#c', 'example.com'],
    ['HTTP://news.example.co.uk', 'news.example.co.uk'],
    ['https://example.com:8443/x', 'example.com'],
    ['https://user:word@example.com/', 'example.com'],
    ['https://example.com.', 'example.com'],
    ['https://example.com?q=https://other.example', 'example.com'],
    ['https://example.com\\@other.example/', 'example.com'],
    ['https://www.www.example.com/', 'www.example.com'],
    ['https://www./', 'www'],
    ['https://192.0.2.7/x', '192.0.2.7'],
    ['https://[2001:DB8::1]:80/x', '[2001:db8::1]'],
    ['https://bücher.example/', 'bücher.example'],
    ['https://my_shop.example/', 'my_shop.example'],
  ])('of %s is %s', (referrer, domain) => {
    expect(referrerDomain(referrer)).toBe(domain);
  });

  test.each([
    '',
    'example.com',
    'android-app://com.example',
    'https://',
    'https:///path',
    'https://exa mple.com/',
    'https://a\0b.example/',
    'https://a..b/',
    'ftp://example.com/',
    `https://${'a'.repeat(254)}/`,
  ])('%j has none', (referrer) => {
    expect(referrerDomain(referrer)).toBe('');
  });

  test('is that of a plain web address, as the engine reads it', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (url) => {
        const { hostname } = new URL(url);
        expect(referrerDomain(url)).toBe(hostname.replace(/^www\./, ''));
      }),
    );
  });
});
