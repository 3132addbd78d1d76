/** The gateway's memory of ads: what it may remember, and what it must not. */
import { describe, expect, it } from 'vitest';
import { AdDirectory } from '../../src/gateway/adDirectory.ts';
import { adOf, MemoryCatalog } from '../support/memoryCatalog.ts';
import { SilentLog } from '../support/silentLog.ts';

let nowMs = 1_760_000_000_000;

describe('the ad directory', () => {
  it('answers what it knows while PostgreSQL is away, for as long as that takes', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    await ads.find('ad-1');
    for (let minute = 0; minute < 10; minute++) {
      nowMs += 61_000;
      catalog.trouble.failNext('read', 'before');
      expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
      expect(await ads.existing(['ad-1'])).toEqual(new Set(['ad-1']));
      await Bun.sleep(0);
    }
    // Once at first, then one try a minute.
    expect(catalog.reads.length).toBe(11);
    await expect(
      (async () => {
        catalog.trouble.failNext('read', 'before');
        await ads.find('ad-2');
      })(),
    ).rejects.toThrow('the ad catalog does not answer');
  });

  it('says once that PostgreSQL is away, not for every click', async () => {
    const catalog = new MemoryCatalog();
    const log = new SilentLog();
    const ads = new AdDirectory(catalog, () => nowMs, log);
    for (let outage = 0; outage < 2; outage++) {
      catalog.trouble.failNext('read', 'before', 5);
      for (let ad = 0; ad < 5; ad++) await expect(ads.existing([`ad-${ad}`])).rejects.toThrow();
      await ads.existing(['ad-9']);
    }
    expect(log.lines.length).toBe(2);
  });

  it('looks again at what it knows after a while, in the background', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    await ads.find('ad-1');
    await catalog.upsert([adOf('ad-1', 'https://new.example/')]);
    nowMs += 59_000;
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(catalog.reads.length).toBe(1);
    nowMs += 2_000;
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    await Bun.sleep(0);
    expect(ads.find('ad-1')).toEqual(adOf('ad-1', 'https://new.example/'));
    expect(catalog.reads.length).toBe(2);
  });

  it('asks again for an ad that did not exist, after a while', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    expect(await ads.find('ad-1')).toBeUndefined();
    await catalog.upsert([adOf('ad-1')]);
    expect(ads.find('ad-1')).toBeUndefined();
    nowMs += 5_001;
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
  });

  it('made-up ids do not push real ads out', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    await ads.find('ad-1');
    for (let batch = 0; batch < 250; batch++) {
      await ads.existing(Array.from({ length: 1_000 }, (_, index) => `made-up-${batch}-${index}`));
    }
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
  });

  it('asks once for an ad, then answers at once', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    expect(catalog.reads).toEqual([['ad-1']]);
  });

  it('remembers that an ad does not exist, too', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    expect(await ads.find('ad-1')).toBeUndefined();
    expect(ads.find('ad-1')).toBeUndefined();
    expect(catalog.reads.length).toBe(1);
    expect(await ads.existing(['ad-1'])).toEqual(new Set());
    expect(catalog.reads.length).toBe(1);
  });

  it('shares one look-up among all who ask meanwhile', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    const found = await Promise.all([ads.find('ad-1'), ads.find('ad-1'), ads.find('ad-2')]);
    expect(found.map((ad) => ad?.adId)).toEqual(['ad-1', 'ad-1', undefined]);
    expect(catalog.reads).toEqual([['ad-1'], ['ad-2']]);
  });

  it('asks again after a change was announced', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    await ads.find('ad-1');
    await catalog.upsert([adOf('ad-1', 'https://new.example/')]);
    expect(ads.find('ad-1')).toEqual(adOf('ad-1'));
    ads.forget(['ad-1']);
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1', 'https://new.example/'));
  });

  it('does not remember what it read before a change that was announced meanwhile', async () => {
    const catalog = new MemoryCatalog();
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
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
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
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
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    catalog.trouble.failNext('read', 'before', 2);
    await expect(ads.find('ad-1')).rejects.toThrow();
    await expect(ads.existing(['ad-1'])).rejects.toThrow();
    expect(await ads.find('ad-1')).toEqual(adOf('ad-1'));
  });

  it('says which of many ads exist, with one question for those it does not know', async () => {
    const catalog = new MemoryCatalog(adOf('ad-1'), adOf('ad-2'));
    const ads = new AdDirectory(catalog, () => nowMs, new SilentLog());
    await ads.find('ad-1');
    expect(await ads.existing(['ad-1', 'ad-2', 'ad-3', 'ad-2'])).toEqual(new Set(['ad-1', 'ad-2']));
    expect(catalog.reads).toEqual([['ad-1'], ['ad-2', 'ad-3']]);
    expect(ads.find('ad-2')).toEqual(adOf('ad-2'));
    await ads.existing(['ad-1', 'ad-2', 'ad-3']);
    await ads.existing([]);
    expect(catalog.reads.length).toBe(2);
  });
});
