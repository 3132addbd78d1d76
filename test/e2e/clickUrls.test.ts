/** Signed click URLs, followed as browsers and programs do, up to the counts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CatalogClient, catalogClient } from '../../src/adapters/grpc/clients.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';

const BROWSER =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
const CURL = 'curl/7.88.1';
const DAY_MS = 86_400_000;
const IN_FLIGHT = 50;

describe('click URLs', { timeout: 120_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let catalog: CatalogClient;
  let fromMs: number;
  let toMs: number;

  beforeAll(async () => {
    installation = await Installation.start({ FLUSH_INTERVAL: '10m' });
    counts = new Counts(installation);
    catalog = catalogClient(installation.ingestAddress);
    fromMs = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
    toMs = fromMs + 3 * DAY_MS;
  });

  afterAll(async () => {
    counts?.close();
    catalog?.close();
    await installation?.remove();
  });

  async function newAd(adId: string): Promise<string> {
    await catalog.upsertAds({
      ads: [{ ad_id: adId, destination_url: `https://shop.example/${adId}?from=ad` }],
    });
    return adId;
  }

  async function sign(adId: string, count: number): Promise<string[]> {
    const { output } = await installation.run(
      'sign',
      adId,
      '--count',
      String(count),
      '--base-url',
      installation.httpUrl,
    );
    return output.trim().split('\n');
  }

  const follow = (url: string, userAgent: string, method = 'GET') =>
    fetch(url, { method, redirect: 'manual', headers: { 'user-agent': userAgent } });

  async function followAll(urls: readonly string[], userAgent: string): Promise<number[]> {
    const statuses: number[] = [];
    for (let first = 0; first < urls.length; first += IN_FLIGHT) {
      const portion = urls.slice(first, first + IN_FLIGHT);
      const responses = await Promise.all(portion.map((url) => follow(url, userAgent)));
      statuses.push(...responses.map(({ status }) => status));
    }
    return statuses;
  }

  async function totals(adId: string) {
    await counts.settled(adId, Date.now());
    return counts.totals([adId], fromMs, toMs);
  }

  test('a thousand URLs, each followed twice by a browser in random order: a thousand clicks, a thousand repeats', async () => {
    const adId = await newAd('twice');
    const urls = await sign(adId, 1_000);
    expect(new Set(urls).size).toBe(1_000);
    const statuses = await followAll(shuffle([...urls, ...urls]), BROWSER);
    expect(statuses.every((status) => status === 302)).toBe(true);
    expect(await totals(adId)).toMatchObject({
      gross_clicks: 2_000,
      clicks: 1_000,
      repeat_clicks: 1_000,
      general_invalid_clicks: 0,
    });
  });

  test("a thousand URLs followed with curl's user agent are general invalid clicks, none is billed", async () => {
    const adId = await newAd('programs');
    await followAll(await sign(adId, 1_000), CURL);
    expect(await totals(adId)).toMatchObject({
      gross_clicks: 1_000,
      clicks: 0,
      general_invalid_clicks: 1_000,
    });
  });

  test('a changed ad, impression or signature still redirects and is defective, not billed', async () => {
    const adId = await newAd('forged');
    const otherAd = await newAd('other');
    const [first = '', second = '', third = ''] = await sign(adId, 3);
    const changedAd = new URL(first);
    changedAd.searchParams.set('adId', otherAd);
    const changedImpression = new URL(second);
    changedImpression.searchParams.set('impressionId', new URL(third).searchParams.get('impressionId') ?? '');
    const changedSignature = new URL(third);
    changedSignature.searchParams.set('signature', `${changedSignature.searchParams.get('signature')}x`);
    for (const [url, page] of [
      [changedAd, otherAd],
      [changedImpression, adId],
      [changedSignature, adId],
    ] as const) {
      const response = await follow(url.href, BROWSER);
      expect(response.status).toBe(302);
      expect(response.headers.get('location')).toMatch(
        new RegExp(`^https://shop\\.example/${page}\\?from=ad&clid=[0-9a-f-]{36}$`),
      );
    }
    expect(await totals(adId)).toMatchObject({ gross_clicks: 0, clicks: 0, defective_clicks: 2 });
    expect(await totals(otherAd)).toMatchObject({ gross_clicks: 0, clicks: 0, defective_clicks: 1 });
  });

  test('an ad that does not exist is 404 and leaves nothing', async () => {
    const [url = ''] = await sign('nobody', 1);
    const response = await follow(url, BROWSER);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ field: 'adId', value: 'nobody' });
    expect(await totals('nobody')).toMatchObject({ gross_clicks: 0, defective_clicks: 0 });
  });

  test('HEAD and prefetch are answered and never billed; the person who follows later is', async () => {
    const adId = await newAd('looked-at');
    const [url = ''] = await sign(adId, 1);
    expect((await follow(url, BROWSER, 'HEAD')).status).toBe(302);
    const prefetch = await fetch(url, {
      redirect: 'manual',
      headers: { 'user-agent': BROWSER, 'sec-purpose': 'prefetch' },
    });
    expect(prefetch.status).toBe(302);
    expect((await follow(url, BROWSER)).status).toBe(302);
    expect(await totals(adId)).toMatchObject({ gross_clicks: 3, clicks: 1, general_invalid_clicks: 2 });
  });

  test('a paused ad still redirects and counts', async () => {
    const adId = await newAd('paused');
    const [url = ''] = await sign(adId, 1);
    await catalog.upsertAds({
      ads: [{ ad_id: adId, destination_url: 'https://shop.example/now', status: 'PAUSED' }],
    });
    const response = await follow(url, BROWSER);
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toMatch(/^https:\/\/shop\.example\/now\?clid=/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await totals(adId)).toMatchObject({ clicks: 1 });
  });

  test('a click is in the answer although nothing is flushed for ten minutes', async () => {
    // All counts of this file come from the owners' memory; this one is asked for at once.
    const adId = await newAd('fresh');
    const [url = ''] = await sign(adId, 1);
    await follow(url, BROWSER);
    const followed = performance.now();
    while ((await counts.totals([adId], fromMs, toMs)).clicks === 0) {
      if (performance.now() - followed > 30_000) throw new Error('the click is not in the answer');
      await Bun.sleep(5);
    }
    const { output } = await installation.run('query', adId, '--from', '-1h', '--json');
    expect(output).toContain('"clicks"');
  });

  test('liveness and readiness', async () => {
    expect((await fetch(`${installation.httpUrl}/healthz`)).status).toBe(200);
    expect((await fetch(`${installation.httpUrl}/readyz`)).status).toBe(200);
    expect((await fetch(`${installation.httpUrl}/nothing`)).status).toBe(404);
  });
});

function shuffle<T>(list: T[]): T[] {
  return list
    .map((value) => ({ value, key: Math.random() }))
    .sort((left, right) => left.key - right.key)
    .map(({ value }) => value);
}
