/** AdCatalogService through the wire: what may be registered, and what the error says where it may not. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { catalogClient } from '../../src/adapters/grpc/clients.ts';
import { AdCatalogService } from '../../src/adapters/grpc/contract.ts';
import type { Ad } from '../../src/contract/generated/clickledger/v1/Ad.ts';
import { AdDirectory } from '../../src/gateway/adDirectory.ts';
import { catalogService } from '../../src/gateway/catalogService.ts';
import { serve } from '../support/grpcServer.ts';
import { MemoryCatalog } from '../support/memoryCatalog.ts';
import { SilentLog } from '../support/silentLog.ts';

async function setUp() {
  const store = new MemoryCatalog();
  const log = new SilentLog();
  const ads = new AdDirectory(store, Date.now, log);
  const address = await serve((server) =>
    server.addService(AdCatalogService.service, catalogService({ store, ads, log })),
  );
  const client = catalogClient(address);
  onTestFinished(() => client.close());
  return { store, ads, log, client };
}

const GOOD: Ad = { ad_id: 'ad-1', destination_url: 'https://shop.example/' };

describe('registering ads', () => {
  it('stores them, forgets what was known of them, and tells the other gateways', async () => {
    const { client, store, ads } = await setUp();
    expect(await ads.find('ad-1')).toBeUndefined();
    expect(await client.upsertAds({ ads: [GOOD, { ...GOOD, ad_id: 'ad-2' }] })).toEqual({
      created: 2,
      updated: 0,
    });
    expect((await ads.find('ad-1'))?.destinationUrl).toBe('https://shop.example/');
    expect(store.announced).toEqual([['ad-1', 'ad-2']]);
    expect(await client.upsertAds({ ads: [{ ...GOOD, status: 'PAUSED' }] })).toEqual({
      created: 0,
      updated: 1,
    });
    expect((await client.getAd({ ad_id: 'ad-1' })).ad).toMatchObject({ ad_id: 'ad-1', status: 'PAUSED' });
  });

  it('stores destinations in their standard form, safe in a header', async () => {
    const { client } = await setUp();
    await client.upsertAds({ ads: [{ ...GOOD, destination_url: 'HTTPS://Shop.Example/ü?q=ä b\n' }] });
    const { ad } = await client.getAd({ ad_id: 'ad-1' });
    expect(ad?.destination_url).toBe('https://shop.example/%C3%BC?q=%C3%A4%20b');
  });

  it.each<[string, Ad[], string]>([
    ['no ads', [], 'ads must have 1 to 1000 entries, it has 0'],
    [
      'too many ads',
      Array.from({ length: 1_001 }, (_, index) => ({ ...GOOD, ad_id: `ad-${index}` })),
      'ads must have 1 to 1000 entries, it has 1001',
    ],
    ['no ad_id', [GOOD, { ...GOOD, ad_id: '' }], 'ads[1].ad_id "" is wrong'],
    ['a control character', [{ ...GOOD, ad_id: 'a\u0000' }], 'ads[0].ad_id "a\\u0000" is wrong'],
    ['a long ad_id', [{ ...GOOD, ad_id: 'é'.repeat(65) }], 'it must be 1 to 128 bytes'],
    ['a long campaign', [{ ...GOOD, campaign_id: 'x'.repeat(129) }], 'ads[0].campaign_id'],
    ['a long advertiser', [{ ...GOOD, advertiser_id: 'x'.repeat(129) }], 'ads[0].advertiser_id'],
    ['no destination', [{ ...GOOD, destination_url: '' }], 'ads[0].destination_url "" is wrong'],
    ['a path for a destination', [{ ...GOOD, destination_url: '/page' }], 'absolute https or http URL'],
    [
      'a script for a destination',
      [{ ...GOOD, destination_url: 'javascript:alert(1)' }],
      'absolute https or http URL',
    ],
    [
      'a file for a destination',
      [{ ...GOOD, destination_url: 'file:///etc/passwd' }],
      'absolute https or http URL',
    ],
    [
      'a destination without a scheme',
      [{ ...GOOD, destination_url: '//evil.example' }],
      'absolute https or http URL',
    ],
    [
      'a long destination',
      [{ ...GOOD, destination_url: `https://a.example/${'x'.repeat(2_048)}` }],
      'at most 2048 bytes',
    ],
    [
      'a destination that grows too long',
      [{ ...GOOD, destination_url: `https://a.example/${'ü'.repeat(800)}` }],
      'at most 2048 bytes',
    ],
    ['an ad twice', [GOOD, GOOD], 'ads[1].ad_id "ad-1" stands there twice'],
  ])('with %s is refused as a whole, and the error names it', async (_what, ads, details) => {
    const { client, store } = await setUp();
    const error = await client.upsertAds({ ads }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining(details) });
    expect(await store.page('', 10)).toEqual([]);
    expect(store.announced).toEqual([]);
  });

  it('that PostgreSQL did not take is unavailable; what was wrong inside is logged, not shown', async () => {
    const { client, store, log } = await setUp();
    store.trouble.failNext('upsert', 'before');
    const error = await client.upsertAds({ ads: [GOOD] }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    expect(String(error)).not.toContain('connection was lost');
    expect(log.lines.map(({ level }) => level)).toEqual(['error']);
    expect(store.announced).toEqual([]);
  });
});

describe('looking ads up', () => {
  it('says which one is not there', async () => {
    const { client } = await setUp();
    const error = await client.getAd({ ad_id: 'ad "9"' }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: status.NOT_FOUND,
      details: 'ad_id "ad \\"9\\"" is not in the catalog',
    });
  });

  it('goes through all of them page by page, each once', async () => {
    const { client } = await setUp();
    const adIds = ['ä', 'b', 'a', 'c/ +', 'e'];
    await client.upsertAds({ ads: adIds.map((ad_id) => ({ ...GOOD, ad_id })) });
    const seen: string[] = [];
    const sizes: number[] = [];
    let page_token = '';
    do {
      const page = await client.listAds({ page_size: 2, page_token });
      seen.push(...page.ads.map(({ ad_id }) => ad_id));
      sizes.push(page.ads.length);
      page_token = page.next_page_token;
    } while (page_token !== '');
    expect(seen).toEqual(['a', 'b', 'c/ +', 'e', 'ä']);
    expect(sizes).toEqual([2, 2, 1]);
  });

  it('has no further page where the last one is just full', async () => {
    const { client } = await setUp();
    await client.upsertAds({ ads: ['a', 'b'].map((ad_id) => ({ ...GOOD, ad_id })) });
    expect(await client.listAds({ page_size: 2 })).toMatchObject({ next_page_token: '' });
    expect((await client.listAds({})).ads.length).toBe(2);
  });

  it('refuses pages that are too large and tokens that nobody gave', async () => {
    const { client } = await setUp();
    await expect(client.listAds({ page_size: 1_001 })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'page_size must be at most 1000, it is 1001',
    });
    await expect(client.listAds({ page_token: '%' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('page_token "%"'),
    });
  });
});

describe('what PostgreSQL or the contract does not have', () => {
  it('is an error of the caller that names it, never one to try again', async () => {
    const { client } = await setUp();
    const unknownStatus = {
      ads: [{ ad_id: 'a', destination_url: 'https://x.example/', status: 7 as never }],
    };
    await expect(client.upsertAds(unknownStatus)).rejects.toMatchObject({
      details: 'ads[0].status "7" is wrong: it must be ACTIVE or PAUSED',
    });
    const withNul = Buffer.from('a\0b').toString('base64url');
    await expect(client.listAds({ page_token: withNul })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    await expect(client.getAd({ ad_id: 'a\0b' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('ad_id "a\\u0000b" is wrong'),
    });
  });
});
