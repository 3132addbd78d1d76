/** Who clicked, where proxies stand before the gateway: what they say counts, and what anybody else says does not. */
import { describe, expect, it } from 'vitest';
import { ClickOrigin } from '../../src/gateway/clickOrigin.ts';

const PROXIES = [
  { address: '10.0.0.0', prefixBits: 8 },
  { address: '2001:db8:ed9e::', prefixBits: 48 },
  { address: '192.0.2.7', prefixBits: 32 },
];
const PROXY = '10.1.2.3';
const PERSON = '203.0.113.7';
const origin = new ClickOrigin(PROXIES, 'CF-IPCountry');
const from = (peer: string, headers: Record<string, string> = {}) => origin.of(new Headers(headers), peer);

describe('the address of who clicked', () => {
  it.each([
    ['without the header', {}, PROXY],
    ['the one that the proxy heard', { 'x-forwarded-for': PERSON }, PERSON],
    ['of IPv6', { 'x-forwarded-for': '2001:db8::7' }, '2001:db8::7'],
    ['through two proxies', { 'x-forwarded-for': `${PERSON}, 10.9.9.9` }, PERSON],
    ['through one of each kind', { 'x-forwarded-for': `${PERSON},2001:db8:ed9e::1` }, PERSON],
    ['not what the person put before it', { 'x-forwarded-for': `198.51.100.9, ${PERSON}` }, PERSON],
    ['not even a proxy’s', { 'x-forwarded-for': `198.51.100.9, 10.0.0.1, ${PERSON}` }, PERSON],
    ['with a port', { 'x-forwarded-for': `${PERSON}:4711` }, PERSON],
    ['in brackets with a port', { 'x-forwarded-for': '[2001:db8::7]:4711' }, '2001:db8::7'],
    ['in brackets', { 'x-forwarded-for': '[2001:db8::7]' }, '2001:db8::7'],
    ['as IPv6', { 'x-forwarded-for': `::ffff:${PERSON}` }, PERSON],
    ['from within', { 'x-forwarded-for': '10.7.7.7, 10.8.8.8' }, '10.7.7.7'],
    ['that the proxy did not know', { 'x-forwarded-for': `${PERSON}, unknown` }, ''],
    ['empty', { 'x-forwarded-for': '' }, ''],
  ])('is, %s: %j -> %j', (_what, headers, address) => {
    expect(from(PROXY, headers).address).toBe(address);
    expect(from(`::ffff:${PROXY}`, headers).address).toBe(address);
  });

  it('is the other end of the connection where that is no proxy, whatever headers say', () => {
    for (const peer of [PERSON, '11.0.0.1', '2001:db8::7', '192.0.2.8', ''])
      expect(from(peer, { 'x-forwarded-for': '198.51.100.9' }).address).toBe(peer);
    expect(new ClickOrigin([], '').of(new Headers({ 'x-forwarded-for': PERSON }), PROXY).address).toBe(PROXY);
  });
});

describe('the country that the edge says', () => {
  it.each([
    ['NP', 'NP'],
    ['np', 'NP'],
    ['XK', 'XK'],
    ['XX', ''],
    ['T1', ''],
    ['EU', ''],
    ['UK', ''],
    ['NPL', ''],
    ['', ''],
    ['NP, DE', ''],
  ])('%j is %j', (code, country) => {
    expect(from(PROXY, { 'cf-ipcountry': code }).country).toBe(country);
  });

  it('counts from a trusted proxy only', () => {
    expect(from(PERSON, { 'cf-ipcountry': 'NP' }).country).toBe('');
    expect(from('', { 'cf-ipcountry': 'NP' }).country).toBe('');
    // A proxy further out is trusted through the one that is connected, not by itself.
    expect(from(PERSON, { 'cf-ipcountry': 'NP', 'x-forwarded-for': PROXY }).country).toBe('');
    expect(new ClickOrigin(PROXIES, '').of(new Headers({ 'cf-ipcountry': 'NP' }), PROXY).country).toBe('');
  });
});
