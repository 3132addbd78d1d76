/** Signed click URLs, from request to response without a socket. */
import { describe, expect, it } from 'vitest';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import { clickUrl } from '../../src/domain/clickUrl.ts';
import type { FactFinder } from '../../src/domain/factFinder.ts';
import { MonthlySalt } from '../../src/domain/monthlySalt.ts';
import type { Position } from '../../src/domain/position.ts';
import { signClick } from '../../src/domain/signature.ts';
import type { SigningKey } from '../../src/domain/signingKey.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { AdDirectory } from '../../src/gateway/adDirectory.ts';
import { ClickHttp } from '../../src/gateway/clickHttp.ts';
import { ClickOrigin } from '../../src/gateway/clickOrigin.ts';
import { OverloadedError, UnavailableError } from '../../src/gateway/unavailable.ts';
import { BROWSER, NOON_MS, uuid7At } from '../support/clicks.ts';
import { NOTHING_FOUND } from '../support/finder.ts';
import { adOf, MemoryCatalog } from '../support/memoryCatalog.ts';
import { SilentLog } from '../support/silentLog.ts';

const BASE = 'http://click.example';
const TTL_MS = 3_600_000;
const ADDRESS = '203.0.113.77';
const KEY: SigningKey = { kid: 'k1', secret: new Uint8Array(16).fill(1) };
const OLD_KEY: SigningKey = { kid: 'k0', secret: new Uint8Array(16).fill(2) };
const CLICK_ID = uuid7At(NOON_MS, 77);
const IMPRESSION = formatUuid(uuid7At(NOON_MS - 1_000, 5));

interface SetUp {
  readonly destination?: string;
  readonly nowMs?: number;
  readonly adId?: string;
  readonly origin?: ClickOrigin;
  readonly finder?: FactFinder;
}

function setUp({
  destination = 'https://shop.example/page',
  nowMs = NOON_MS,
  adId = 'ad-1',
  origin = new ClickOrigin([], ''),
  finder = NOTHING_FOUND,
}: SetUp = {}) {
  const catalog = new MemoryCatalog(adOf(adId, destination));
  const records: ClickRecord[] = [];
  let failure: Error | undefined;
  const http = new ClickHttp({
    ads: new AdDirectory(catalog, Date.now, new SilentLog()),
    clickLog: {
      append: (clicks) => {
        if (failure !== undefined) return Promise.reject(failure);
        records.push(...clicks);
        return Promise.resolve<Position[]>([]);
      },
    },
    signingKeys: [KEY, OLD_KEY],
    userKeySalt: new MonthlySalt(new Uint8Array(16).fill(9)),
    origin,
    finder,
    clickUrlTtlMs: TTL_MS,
    clock: () => nowMs,
    newClickId: () => CLICK_ID,
  });
  return {
    records,
    catalog,
    fail: (error: Error) => {
      failure = error;
    },
    get: (url: string, init: RequestInit = {}, peer = ADDRESS) =>
      http.handle(new Request(url, { headers: { 'user-agent': BROWSER }, ...init }), peer),
  };
}

function signedUrl(adId = 'ad-1', impressionId = IMPRESSION, key = KEY): string {
  return clickUrl(BASE, adId, impressionId, signClick(key, adId, impressionId));
}

function urlOf(query: string): string {
  return `${BASE}/click?${query}`;
}

const GOOD = { adId: 'ad-1', impressionId: IMPRESSION, signature: signClick(KEY, 'ad-1', IMPRESSION) };

describe('a signed click URL', () => {
  it('leads to the ad’s destination, is not cached, and is recorded as a fact', async () => {
    const { get, records } = setUp();
    const response = await get(signedUrl(), {
      headers: { 'user-agent': BROWSER, referer: 'https://news.example/a' },
    });
    expect(response.status).toBe(302);
    expect(Object.fromEntries(response.headers)).toEqual({
      location: `https://shop.example/page?clid=${formatUuid(CLICK_ID)}`,
      'cache-control': 'no-store',
      'referrer-policy': 'strict-origin-when-cross-origin',
    });
    expect(await response.text()).toBe('');
    expect(records).toMatchObject([
      {
        clickId: CLICK_ID,
        impressionId: uuid7At(NOON_MS - 1_000, 5),
        adId: 'ad-1',
        eventTimeMs: NOON_MS,
        receivedMs: NOON_MS,
        channel: 'HTTP',
        signature: 'VALID',
        head: false,
        prefetch: false,
        test: false,
        userAgent: BROWSER,
        referrer: 'https://news.example/a',
      },
    ]);
  });

  it.each([
    ['https://shop.example/', 'https://shop.example/?clid=ID'],
    ['https://shop.example/p?', 'https://shop.example/p?clid=ID'],
    ['https://shop.example/p?a=1', 'https://shop.example/p?a=1&clid=ID'],
    ['https://shop.example/p?a=1&', 'https://shop.example/p?a=1&clid=ID'],
    ['https://shop.example/p#top', 'https://shop.example/p?clid=ID#top'],
    ['https://shop.example/p?a=1#top?b', 'https://shop.example/p?a=1&clid=ID#top?b'],
    ['https://shop.example/p#a?b&c', 'https://shop.example/p?clid=ID#a?b&c'],
  ])('gives %s the click id where it belongs', async (destination, location) => {
    const response = await setUp({ destination }).get(signedUrl());
    expect(response.headers.get('location')).toBe(location.replace('ID', formatUuid(CLICK_ID)));
  });

  it('leads nowhere else, whatever the request says (no open redirect)', async () => {
    const { get } = setUp();
    for (const extra of [
      'url=https://evil.example',
      'destination=//evil.example',
      'clid=x',
      'redirect=%0d%0aLocation:x',
    ]) {
      const response = await get(`${signedUrl()}&${extra}`, {
        headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'user-agent': BROWSER },
      });
      expect(response.headers.get('location')).toBe(`https://shop.example/page?clid=${formatUuid(CLICK_ID)}`);
    }
  });

  it('may be written with percent signs, and name an ad with any characters', async () => {
    const adId = 'ad ü/&=+%"';
    const { get, records } = setUp({ adId });
    expect((await get(signedUrl(adId))).status).toBe(302);
    const everything = [...new TextEncoder().encode(adId)].map(
      (byte) => `%${byte.toString(16).padStart(2, '0')}`,
    );
    const query = `adId=${everything.join('')}&impressionId=${IMPRESSION}&signature=${signClick(KEY, adId, IMPRESSION)}`;
    expect((await get(urlOf(query))).status).toBe(302);
    expect(records.map((record) => [record.adId, record.signature])).toEqual([
      [adId, 'VALID'],
      [adId, 'VALID'],
    ]);
  });

  it('holds under an older key, too', async () => {
    const { get, records } = setUp();
    await get(signedUrl('ad-1', IMPRESSION, OLD_KEY));
    expect(records[0]?.signature).toBe('VALID');
  });

  it('that is forged still leads on; the record says so', async () => {
    const { get, records } = setUp();
    for (const signature of [
      'k1.forged',
      'x',
      signClick({ ...KEY, secret: OLD_KEY.secret }, 'ad-1', IMPRESSION),
    ]) {
      expect((await get(clickUrl(BASE, 'ad-1', IMPRESSION, signature))).status).toBe(302);
    }
    expect(records.map(({ signature }) => signature)).toEqual(['INVALID', 'INVALID', 'INVALID']);
  });

  it('lives just as long as it may', async () => {
    const issuedMs = NOON_MS - 1_000;
    for (const [nowMs, check] of [
      [issuedMs + TTL_MS, 'VALID'],
      [issuedMs + TTL_MS + 1, 'EXPIRED'],
    ] as const) {
      const { get, records } = setUp({ nowMs });
      expect((await get(signedUrl())).status).toBe(302);
      expect(records[0]?.signature).toBe(check);
    }
  });

  it('asked for with HEAD is answered alike, and recorded as HEAD', async () => {
    const { get, records } = setUp();
    const response = await get(signedUrl(), { method: 'HEAD' });
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toContain('clid=');
    expect(records[0]?.head).toBe(true);
  });

  it.each([
    ['sec-purpose', 'prefetch;prerender'],
    ['Sec-Purpose', 'Prefetch'],
    ['purpose', 'prefetch'],
    ['x-moz', 'prefetch'],
    ['x-purpose', 'preview'],
  ])('fetched ahead of a click (%s: %s) is answered, and recorded as that', async (name, value) => {
    const { get, records } = setUp();
    expect((await get(signedUrl(), { headers: { [name]: value } })).status).toBe(302);
    expect(records[0]?.prefetch).toBe(true);
  });

  it('is of the device, system and browser that its user agent tells of', async () => {
    const { get, records } = setUp({
      finder: {
        ...NOTHING_FOUND,
        ofUserAgent: (userAgent) => ({ deviceType: 'tv', os: 'webOS', browser: userAgent as 'Chrome' }),
      },
    });
    await get(signedUrl());
    await get(signedUrl(), { headers: {} });
    expect(records).toMatchObject([
      { deviceType: 'tv', os: 'webOS', browser: BROWSER, country: '', region: '' },
      { deviceType: '', os: '', browser: '' },
    ]);
  });

  it('is of the country that a trusted edge says, or else of that of its address', async () => {
    const finder = { ...NOTHING_FOUND, ofAddress: () => ({ country: 'NP', region: 'NP-P3' }) };
    const origin = new ClickOrigin([{ address: '10.0.0.0', prefixBits: 8 }], 'x-country');
    const { get, records } = setUp({ finder, origin });
    const headers = { 'x-country': 'DE' };
    await get(signedUrl(), { headers }, '10.0.0.1');
    await get(signedUrl(), { headers: { 'x-country': 'XX' } }, '10.0.0.1');
    await get(signedUrl(), { headers }, ADDRESS);
    await get(signedUrl(), { headers }, '');
    expect(records.map(({ country, region }) => [country, region])).toEqual([
      ['DE', ''],
      ['NP', 'NP-P3'],
      ['NP', 'NP-P3'],
      ['', ''],
    ]);
  });

  it('is of the person behind a trusted proxy, not of the proxy', async () => {
    const origin = new ClickOrigin([{ address: '10.0.0.0', prefixBits: 8 }], '');
    const { get, records } = setUp({ origin });
    const keyOf = async (forwarded: string, peer: string) => {
      const headers = { 'user-agent': BROWSER, 'x-forwarded-for': forwarded };
      await get(signedUrl(), { headers }, peer);
      return records.at(-1)?.userKey.toHex();
    };
    const key = await keyOf('203.0.113.1', '10.0.0.1');
    expect(key).toHaveLength(32);
    expect(await keyOf('203.0.113.1', '10.0.0.2')).toBe(key);
    expect(await keyOf('203.0.113.2', '10.0.0.1')).not.toBe(key);
    // The same person without the proxy; and somebody who only says to be that person.
    expect(await keyOf('', '203.0.113.1')).toBe(key);
    expect(await keyOf('203.0.113.1', '198.51.100.1')).not.toBe(key);
  });

  it('keeps no network address: only a key that another salt would make another one', async () => {
    const { get, records } = setUp();
    await get(signedUrl());
    await get(signedUrl(), { headers: {} });
    const [first, second] = records;
    expect(first?.userKey.length).toBe(16);
    expect(first?.userKey).not.toEqual(second?.userKey);
    const text = JSON.stringify(records, (_key, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    expect(text).not.toContain(ADDRESS);
  });

  it('cuts what a browser says to its limit, between characters', async () => {
    const { get, records } = setUp();
    await get(signedUrl(), {
      headers: { 'user-agent': 'u'.repeat(5_000), referer: `https://a.example/${'r'.repeat(5_000)}` },
    });
    expect(records[0]?.userAgent?.length).toBe(1_024);
    expect(records[0]?.referrer.length).toBe(2_048);
  });

  it('without a user agent says that there was none, which is not the same as not known', async () => {
    const { get, records } = setUp();
    await get(signedUrl(), { headers: {} });
    expect(records[0]?.userAgent).toBe('');
  });
});

describe('a request that is not a click', () => {
  async function problemOf(url: string, init?: RequestInit) {
    const world = setUp();
    const response = await world.get(url, init);
    expect(world.records).toEqual([]);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.has('location')).toBe(false);
    const body = (await response.json()) as { error: string; field: string; value: string; expected: string };
    return { status: response.status, headers: response.headers, ...body };
  }

  const query = (changes: Record<string, string | undefined>) =>
    Object.entries({ ...GOOD, ...changes })
      .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]))
      .join('&');

  it.each(['adId', 'impressionId', 'signature'])(
    'is told that %s is missing, empty or there twice',
    async (name) => {
      for (const changed of [query({ [name]: undefined }), query({ [name]: '' })]) {
        expect(await problemOf(urlOf(changed))).toMatchObject({ status: 400, field: name });
      }
      expect(await problemOf(urlOf(`${query({})}&${name}=again`))).toMatchObject({
        status: 400,
        field: name,
        value: '2 values',
      });
    },
  );

  it.each([
    ['adId', 'a\r\nSet-Cookie: x'],
    ['adId', 'a\u0000b'],
    ['adId', 'a'.repeat(129)],
    ['adId', 'é'.repeat(65)],
    ['impressionId', 'not-a-uuid'],
    ['impressionId', '0f8fad5b-d9cb-469f-a165-70867728950e'],
    ['impressionId', `${IMPRESSION}\n`],
  ])('is told that %s cannot be %j', async (name, value) => {
    const { status, field, expected, headers } = await problemOf(urlOf(query({ [name]: value })));
    expect({ status, field }).toEqual({ status: 400, field: name });
    expect(expected).toMatch(name === 'adId' ? /1 to 128 bytes/ : /UUIDv7/);
    expect(headers.has('set-cookie')).toBe(false);
  });

  it('shows no more than a part of a long wrong value', async () => {
    const { value } = await problemOf(urlOf(query({ adId: 'a'.repeat(2_000) })));
    expect(value.length).toBe(200);
  });

  it('is told that there is no such ad, with nothing recorded', async () => {
    expect(await problemOf(signedUrl('ad-unknown'))).toMatchObject({
      status: 404,
      field: 'adId',
      value: 'ad-unknown',
    });
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])(
    'with %s is told what is allowed',
    async (method) => {
      const problem = await problemOf(signedUrl(), { method });
      expect(problem).toMatchObject({ status: 405, field: 'method', value: method });
      expect(problem.headers.get('allow')).toBe('GET, HEAD');
    },
  );

  it('may not carry a body', async () => {
    expect(await problemOf(signedUrl(), { headers: { 'content-length': '1' } })).toMatchObject({
      status: 413,
      field: 'body',
    });
    expect(await problemOf(signedUrl(), { headers: { 'transfer-encoding': 'chunked' } })).toMatchObject({
      status: 413,
    });
    expect((await setUp().get(signedUrl(), { headers: { 'content-length': '0' } })).status).toBe(302);
  });

  it('may not have a longer URL than any click has', async () => {
    const padding = 4_096 - signedUrl().length;
    expect((await setUp().get(`${signedUrl()}&x=${'x'.repeat(padding - 3)}`)).status).toBe(302);
    expect(await problemOf(`${signedUrl()}&x=${'x'.repeat(padding - 2)}`)).toMatchObject({
      status: 414,
      field: 'url',
    });
  });
});

describe('a click that could not be made durable', () => {
  it.each([new UnavailableError('not confirmed'), new OverloadedError('too much waits')])(
    'is not answered with a redirect: %s',
    async (error) => {
      const { get, fail } = setUp();
      fail(error);
      const response = await get(signedUrl());
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('1');
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(response.headers.has('location')).toBe(false);
      expect(await response.json()).toEqual({ error: error.message });
    },
  );

  it('because of a defect is not hidden as one', async () => {
    const { get, fail } = setUp();
    fail(new TypeError('a defect'));
    await expect(get(signedUrl())).rejects.toThrow('a defect');
  });

  it('because the catalog does not answer is an error, not an unknown ad', async () => {
    const { get, catalog, records } = setUp();
    catalog.trouble.failNext('read', 'before');
    const response = await get(signedUrl());
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ error: 'the ad catalog does not answer' });
    expect(records).toEqual([]);
    expect((await get(signedUrl())).status).toBe(302);
  });
});
