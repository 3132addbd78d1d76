/** The web over a real socket: what it asks the answers, what it makes of them, and what it refuses. */
import { gunzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { callError, invalidArgument } from '../../../src/contract/callErrors.ts';
import type { QueryAggregatesResponse } from '../../../src/contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import { served } from './served.ts';

const MARCH_MS = Date.UTC(2024, 2, 1);
const HOUR_MS = 3_600_000;
const SERIES = '/api/v1/ads/shoes/aggregates?from=2024-03-01&to=2024-03-02T00:00Z&granularity=minute';

function answerOf(count: number, arrivedThroughMs = MARCH_MS): QueryAggregatesResponse {
  return {
    rows: Array.from({ length: count }, (_, at) => ({
      ad_id: 'shoes',
      from_ms: MARCH_MS + at * 60_000,
      to_ms: MARCH_MS + (at + 1) * 60_000,
      metrics: { gross_clicks: 3, clicks: 2, repeat_clicks: 1, repeat_rate: 1 / 3 },
      status: 'SETTLED',
      revision: 4,
      group: [{ dimension: 'ad_id', value: 'shoes' }],
    })),
    info: { arrived_through_ms: arrivedThroughMs, settled_through_ms: MARCH_MS + 24 * HOUR_MS },
  };
}
const ones = (count = 1) => ({ queryAggregates: () => Promise.resolve(answerOf(count)) });

describe('a question', () => {
  it('gets the series of an ad, with the moment under the name of the granularity', async () => {
    const { get } = await served({ answers: ones() });
    const response = await get(SERIES);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      adId: 'shoes',
      series: [
        {
          minute: '2024-03-01T00:00:00.000Z',
          from: '2024-03-01T00:00:00.000Z',
          to: '2024-03-01T00:01:00.000Z',
          clicks: 2,
          grossClicks: 3,
          repeatClicks: 1,
          generalInvalidClicks: 0,
          sophisticatedInvalidClicks: 0,
          defectiveClicks: 0,
          testClicks: 0,
          repeatRate: 1 / 3,
          status: 'SETTLED',
          revision: 4,
        },
      ],
      status: 'SETTLED',
      freshness: {
        arrivedThrough: '2024-03-01T00:00:00.000Z',
        partial: false,
        missingShards: [],
        settledThrough: '2024-03-02T00:00:00.000Z',
        finalThrough: null,
      },
    });
  });

  it('says the least status: of a range beyond what is settled, provisional', async () => {
    const { get } = await served({ answers: ones() });
    const later = SERIES.replace('to=2024-03-02T00:00Z', 'to=2024-03-02T00:01Z');
    expect(await (await get(later)).json()).toMatchObject({ status: 'PROVISIONAL' });
  });

  it('is asked with everything that a client may say', async () => {
    const asked: unknown[] = [];
    const { get } = await served({
      answers: {
        queryAggregates: (request) => {
          asked.push(request);
          return Promise.resolve({ rows: [], next_page_token: 'more' });
        },
      },
    });
    const response = await get(
      `/api/v1/aggregates?campaignId=a,b&campaignId=c&from=${MARCH_MS}&to=2024-03-01T11:45%2B05:45&granularity=Day` +
        '&timeZone=Asia/Kathmandu&groupBy=country,device_type&include=country:NP&include=country:&exclude=os:x:y' +
        '&metrics=clicks,repeatRate&minStatus=settled&asOf=2024-04-01&orderBy=grossClicks desc&pageSize=7&pageToken=t&fill=true',
    );
    expect(await response.json()).toMatchObject({ rows: [], nextPageToken: 'more' });
    expect(asked).toEqual([
      {
        ad_ids: [],
        campaign_ids: ['a,b', 'c'],
        advertiser_ids: [],
        from_ms: MARCH_MS,
        to_ms: MARCH_MS + 6 * HOUR_MS,
        granularity: 'DAY',
        min_status: 'SETTLED',
        as_of_ms: Date.UTC(2024, 3, 1),
        time_zone: 'Asia/Kathmandu',
        group_by: ['country', 'device_type'],
        filters: [
          { dimension: 'country', include: ['NP', ''], exclude: [] },
          { dimension: 'os', include: [], exclude: ['x:y'] },
        ],
        metrics: ['clicks', 'repeat_rate'],
        order_by: 'gross_clicks desc',
        page_size: 7,
        page_token: 't',
        fill: true,
      },
    ]);
  });

  it('gets only the metrics that it asked for', async () => {
    const { get } = await served({ answers: ones() });
    const { series } = (await (await get(`${SERIES}&metrics=clicks`)).json()) as { series: object[] };
    expect(Object.keys(series[0] ?? {})).toEqual(['minute', 'from', 'to', 'clicks', 'status', 'revision']);
  });

  it('names an ad by any id, escaped in the path', async () => {
    const asked: unknown[] = [];
    const { get } = await served({
      answers: {
        queryAggregates: ({ ad_ids }) => {
          asked.push(...ad_ids);
          return Promise.resolve({});
        },
      },
    });
    for (const adId of ['a/b', 'ä %', '..']) {
      const path = `/api/v1/ads/${encodeURIComponent(adId).replaceAll('.', '%2e')}/aggregates`;
      await get(`${path}?from=0&to=1&granularity=day`);
    }
    // A path of dots is resolved by every client before it is sent.
    expect(asked).toEqual(['a/b', 'ä %']);
  });

  it('stops when its client goes', async () => {
    const begun = Promise.withResolvers<AbortSignal>();
    const { get } = await served({
      answers: {
        queryAggregates: (_, signal) => {
          begun.resolve(signal);
          return new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          );
        },
      },
    });
    const client = new AbortController();
    const response = get(SERIES, { signal: client.signal }).catch(() => 'gone');
    const signal = await begun.promise;
    expect(signal.aborted).toBe(false);
    client.abort();
    await response;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  });
});

describe('a wrong question is a problem that names the parameter', () => {
  it.each([
    [
      'a parameter that is unknown',
      `${SERIES}&granularty=day`,
      'granularty',
      /"granularty" is unknown: known are from, to/,
    ],
    ['a parameter twice', `${SERIES}&from=0`, 'from', /^from stands there twice/],
    ['no time', '/api/v1/aggregates?from=0&granularity=day', 'to', /^to is missing$/],
    [
      'a time without a zone',
      SERIES.replace('T00:00Z', 'T00:00'),
      'to',
      /^to "2024-03-02T00:00" is wrong: .*ISO 8601/,
    ],
    ['a day that does not exist', SERIES.replace('03-01', '02-30'), 'from', /^from "2024-02-30" is wrong/],
    [
      'an hour that does not exist',
      SERIES.replace('T00:00Z', 'T24:00Z'),
      'to',
      /^to "2024-03-02T24:00Z" is wrong/,
    ],
    ['a negative time', SERIES.replace('2024-03-01', '-1'), 'from', /^from "-1" is wrong/],
    ['a filter without a colon', `${SERIES}&include=NP`, 'include', /^include "NP" is wrong: .*country:NP/],
    ['a page of nothing', `${SERIES}&pageSize=0`, 'pageSize', /^pageSize "0" is wrong: .*from 1/],
    ['a flag that is none', `${SERIES}&fill=yes`, 'fill', /^fill "yes" is wrong: .*true or false/],
    [
      'an exposure that is no number',
      '/api/v1/compare?leftFrom=0&leftTo=1&rightFrom=0&rightTo=1&leftExposure=x',
      'leftExposure',
      /^leftExposure "x" is wrong/,
    ],
    [
      'a side without a time',
      '/api/v1/compare?leftFrom=0&leftTo=1&rightFrom=0',
      'rightTo',
      /^rightTo is missing$/,
    ],
  ])('%s', async (_what, path, parameter, detail) => {
    const { get } = await served();
    const response = await get(path);
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toEqual({
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      code: 'INVALID_ARGUMENT',
      detail: expect.stringMatching(detail),
      parameter,
    });
  });

  it.each([
    ['from_ms 5 is wrong: it must be before to_ms 4', 'from', 'from 5 is wrong: it must be before to 4'],
    ['ad_ids "from_ms" stands there twice', 'adId', 'adId "from_ms" stands there twice'],
    ['right.to_ms 4 is wrong', 'rightTo', 'rightTo 4 is wrong'],
    ['query.fill is not for exports', 'fill', 'fill is not for exports'],
    ['the answer has a format nobody knows', undefined, 'the answer has a format nobody knows'],
    [
      'group_by "a" is wrong: it must be one of ad_id, country',
      'groupBy',
      'groupBy "a" is wrong: it must be one of ad_id, country',
    ],
  ])('an answer that says %j is told in the names of the web', async (details, parameter, detail) => {
    const { get } = await served({
      answers: { queryAggregates: () => Promise.reject(invalidArgument(details)) },
    });
    const {
      status: _,
      title: _title,
      type: _type,
      code: _code,
      ...told
    } = (await (await get(SERIES)).json()) as Record<string, unknown>;
    expect(told).toEqual(parameter === undefined ? { detail } : { detail, parameter });
  });

  it.each([
    [status.FAILED_PRECONDITION, 409, 'FAILED_PRECONDITION', null],
    [status.NOT_FOUND, 404, 'NOT_FOUND', null],
    [status.RESOURCE_EXHAUSTED, 429, 'RESOURCE_EXHAUSTED', '1'],
    [status.UNIMPLEMENTED, 501, 'UNIMPLEMENTED', null],
    [status.UNAVAILABLE, 503, 'UNAVAILABLE', '1'],
    [status.DEADLINE_EXCEEDED, 504, 'DEADLINE_EXCEEDED', '1'],
    [status.DATA_LOSS, 500, 'DATA_LOSS', null],
  ])('gRPC status %i is HTTP status %i', async (code, httpStatus, name, retryAfter) => {
    const { get } = await served({
      answers: { queryAggregates: () => Promise.reject(callError(code, 'why')) },
    });
    const response = await get(SERIES);
    expect(response.status).toBe(httpStatus);
    expect(response.headers.get('retry-after')).toBe(retryAfter);
    expect(await response.json()).toMatchObject({ status: httpStatus, code: name, detail: 'why' });
  });

  it.each([
    ['that takes too long is told to ask for less', 'TimeoutError', 504, 'DEADLINE_EXCEEDED'],
    ['whose client has gone is nobody to tell', 'AbortError', 503, 'CANCELLED'],
  ])('one %s, and no trouble to log', async (_what, name, httpStatus, code) => {
    const { get, log } = await served({
      answers: { queryAggregates: () => Promise.reject(new DOMException('as a signal has it', name)) },
    });
    const response = await get(SERIES);
    expect(response.status).toBe(httpStatus);
    expect(await response.json()).toMatchObject({ status: httpStatus, code });
    expect(log.lines).toEqual([]);
  });

  it('an error that nobody foresaw is in the log, and not in the answer', async () => {
    const { get, log } = await served({
      answers: { queryAggregates: () => Promise.reject(new Error('password=secret')) },
    });
    const response = await get(SERIES);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain('secret');
    expect(log.lines).toHaveLength(1);
  });
});

describe('HTTP', () => {
  it('an answer that the client has is not sent again, however fresh it has become', async () => {
    let arrivedMs = MARCH_MS;
    let rows = 1;
    const { get } = await served({
      answers: { queryAggregates: () => Promise.resolve(answerOf(rows, arrivedMs)) },
    });
    const first = await get(SERIES);
    const tag = first.headers.get('etag') ?? '';
    expect(tag).toMatch(/^W\/"[\w-]{22}"$/);
    expect(first.headers.get('clickledger-arrived-through')).toBe('2024-03-01T00:00:00.000Z');
    arrivedMs += 1_000;
    const again = await get(SERIES, { headers: { 'if-none-match': `"other", ${tag}` } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
    expect(again.headers.get('etag')).toBe(tag);
    expect(again.headers.get('clickledger-arrived-through')).toBe('2024-03-01T00:00:01.000Z');
    rows = 2;
    expect((await get(SERIES, { headers: { 'if-none-match': tag } })).status).toBe(200);
  });

  it.each([
    ['gzip', 'gzip'],
    ['br, GZIP;q=0.5', 'gzip'],
    ['*', 'gzip'],
    ['gzip;q=0', null],
    ['identity', null],
  ])('a large answer to a client that takes %s is encoded as %s', async (accepted, encoding) => {
    const { get } = await served({ answers: ones(500) });
    const options = { headers: { 'accept-encoding': accepted }, decompress: false };
    const response = await get(SERIES, options);
    expect(response.headers.get('content-encoding')).toBe(encoding);
    expect(response.headers.get('vary')).toBe('Accept-Encoding');
    const bytes = Buffer.from(await response.arrayBuffer());
    const { series } = JSON.parse(String(encoding === null ? bytes : gunzipSync(bytes)));
    expect(series).toHaveLength(500);
    if (encoding !== null) expect(bytes.length).toBeLessThan(20_000);
  });

  it('a small answer is not compressed', async () => {
    const { get } = await served();
    const options = { headers: { 'accept-encoding': 'gzip' }, decompress: false };
    expect((await get('/api/v1/ads', options)).headers.get('content-encoding')).toBeNull();
  });

  it('HEAD gets the head of what GET gets, OPTIONS the methods, others 405', async () => {
    const { get } = await served({ answers: ones() });
    const head = await get(SERIES, { method: 'HEAD' });
    expect([head.status, head.headers.get('etag')]).toEqual([200, (await get(SERIES)).headers.get('etag')]);
    expect(await head.text()).toBe('');
    const options = await get(SERIES, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const refused = await get(SERIES, { method });
      expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
      expect(await refused.json()).toMatchObject({ status: 405, detail: expect.stringContaining(method) });
    }
  });

  it('a URL that is too long is refused with the limit', async () => {
    const { get } = await served();
    const response = await get(`${SERIES}&adId=${'x'.repeat(12_300)}`);
    expect(response.status).toBe(414);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('12288') });
  });

  it.each(['/', '/page.js', '/api/v1/ads', '/nothing', '/healthz'])(
    '%s is safe from sniffing, framing and foreign pages',
    async (path) => {
      const { get } = await served();
      const { headers } = await get(path, { headers: { origin: 'https://evil.example' } });
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
      expect(headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  it.each([
    '/page/main.tsx',
    '/%2e%2e/%2e%2e/package.json',
    '/..%2f..%2fpackage.json',
    '/page.js/../../web.ts',
    '/api/v1/ads/%2e%2e%2f/x',
    '//etc/passwd',
    '/index.html',
  ])('no file is reached by %s', async (path) => {
    const { get } = await served();
    const response = await get(path);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      404,
      'application/problem+json',
    ]);
  });

  it('the page is there with all that it needs, and is asked for again only when it has changed', async () => {
    const { get } = await served();
    const page = await get('/');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const parts = [...(await page.text()).matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => path);
    expect(parts).toEqual(['/icon.svg', '/page.css', '/page.js']);
    for (const path of ['/', ...parts]) {
      const part = await get(path ?? '');
      expect(part.status, path).toBe(200);
      const tag = part.headers.get('etag') ?? '';
      expect((await get(path ?? '', { headers: { 'if-none-match': tag } })).status, path).toBe(304);
    }
  });

  it('readiness is told', async () => {
    expect((await (await served()).get('/readyz')).status).toBe(200);
    expect((await (await served({ isReady: false })).get('/readyz')).status).toBe(503);
  });
});

describe('ads', () => {
  const ads = ['a', 'b1', 'b2', 'b3', 'c'].map((adId) => ({
    adId,
    campaignId: 'k',
    advertiserId: 'v',
    destinationUrl: 'https://shop.example/secret',
    status: 'ACTIVE' as const,
  }));

  it('are found by how they begin, page by page', async () => {
    const { get } = await served({ ads });
    const first = (await (await get('/api/v1/ads?search=b&limit=2')).json()) as {
      ads: { adId: string }[];
      nextAfter: string;
    };
    expect(first.ads.map(({ adId }) => adId)).toEqual(['b1', 'b2']);
    expect(first.nextAfter).toBe('b2');
    const second = await (await get('/api/v1/ads?search=b&limit=2&after=b2')).json();
    expect(second).toEqual({ ads: [{ adId: 'b3', campaignId: 'k', advertiserId: 'v', status: 'ACTIVE' }] });
  });

  it.each(['search', 'after'])('whose %s holds a character that no id has are refused', async (name) => {
    const { get } = await served({ ads });
    const response = await get(`/api/v1/ads?${name}=b%00`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      parameter: name,
      detail: `${name} "b\\u0000" is wrong: it must not hold the character 0`,
    });
  });

  it('more than 500 at a time are refused', async () => {
    const { get } = await served({ ads });
    expect(await (await get('/api/v1/ads?limit=501')).json()).toMatchObject({ parameter: 'limit' });
  });
});
