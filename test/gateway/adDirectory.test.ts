/** The gateway's memory of ads: what it may remember, and what it must not. */
import { describe, expect, it } from 'vitest';
import { AdDirectory } from '../../src/gateway/adDirectory.ts';
import { adOf, MemoryCatalog } from '../support/memoryCatalog.ts';

describe('the ad directory', () => {
  it('asks once for an ad, then answers at once', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog);
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(catalog.reads).toEqual([['ad-1']]);
  });

  it('remembers that an ad does not exist, too', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog);
    expect(await ads.find('ad-1')).toBeUndefined();
    expect(ads.find('ad-1')).toBeUndefined();
    expect(catalog.reads.length).toBe(1);
    expect(await ads.existing(['ad-1'])).toEqual(new Set());
    expect(catalog.reads.length).toBe(1);
  });

  it('shares one look-up among all who ask meanwhile', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog);
    const found = await Promise.all([ads.find('ad-1'), ads.find('ad-1'), ads.find('ad-2')]);
    expect(found.map((ad) => ad?.adId)).toEqual(['ad-1', 'ad-1', undefined]);
    expect(catalog.reads).toEqual([['ad-1'], ['ad-2']]);
  });

  it('asks again after a change was announced', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog);
    await ads.find('ad-1');
    await catalog.upsert([adOf('ad-1', 'https://new.example/')]);
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    ads.forget(['ad-1']);
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1', 'https://new.example/'));
  });

  it('does not remember what it read before a change that was announced meanwhile', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog);
    const hold = catalog.trouble.hold('read', 'after');
    const early = ads.find('ad-1');
    await hold.reached;
    await catalog.upsert([adOf('ad-1')]);
    ads.forget(['ad-1']);
    hold.release();
    expect(await early).toBeUndefined();
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
  });

  it('lets nobody who asks after a change share a look-up from before it', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog);
    const hold = catalog.trouble.hold('read', 'after');
    const early = ads.find('ad-1');
    await hold.reached;
    await catalog.upsert([adOf('ad-1')]);
    ads.forget(['ad-1']);
    const late = ads.find('ad-1');
    expect(await late).toEqual(adOf('ad-1'));
    hold.release();
    expect(await early).toBeUndefined();
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(catalog.reads.length).toBe(2);
  });

  it('remembers no failure', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog);
    catalog.trouble.failNext('read', 'before', 2);
    await expect(ads.find('ad-1')).rejects.toThrow();
    await expect(ads.existing(['ad-1'])).rejects.toThrow();
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
  });

  it('says which of many ads exist, with one question for those it does not know', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'), adOf('ad-2'));
    const ads = new AdDirectory(catalog);
    await ads.find('ad-1');
    expect(await ads.existing(['ad-1', 'ad-2', 'ad-3', 'ad-2'])).toEqual(new Set(['ad-1', 'ad-2']));
    expect(catalog.reads).toEqual([['ad-1'], ['ad-2', 'ad-3']]);
    expect(ads.find('ad-2')).toEqual(adOf('ad-2'));
    await ads.existing(['ad-1', 'ad-2', 'ad-3']);
    await ads.existing([]);
    expect(catalog.reads.length).toBe(2);
  });
});
