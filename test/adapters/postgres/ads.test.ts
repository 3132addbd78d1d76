/** The ad catalog: stored all or none, found by id, paged in the order of bytes. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listAds, pageAds, readAds } from '../../../src/adapters/postgres/readAds.ts';
import { upsertAds } from '../../../src/adapters/postgres/upsertAds.ts';
import type { Ad } from '../../../src/domain/ad.ts';
import { emptyLedger, type Ledger, openLedger } from './ledger.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => emptyLedger(ledger));

function ad(adId: string, changes: Partial<Ad> = {}): Ad {
  return {
    adId,
    campaignId: 'campaign',
    advertiserId: 'advertiser',
    destinationUrl: 'https://example.com/?a=1&b={c}',
    status: 'ACTIVE',
    ...changes,
  };
}

const idsOf = (ads: readonly Ad[]) => ads.map(({ adId }) => adId);

test('new ads count as created, changed ones as updated, unchanged ones as neither', async () => {
  const { pool } = ledger;
  expect(await upsertAds(pool, [ad('a'), ad('b')])).toEqual({ created: 2, updated: 0 });
  expect(await upsertAds(pool, [ad('a'), ad('b')])).toEqual({ created: 0, updated: 0 });
  const mixed = [ad('c'), ad('a', { status: 'PAUSED' }), ad('b')];
  expect(await upsertAds(pool, mixed)).toEqual({ created: 1, updated: 1 });
  expect(await upsertAds(pool, [])).toEqual({ created: 0, updated: 0 });
});

test.each([
  { campaignId: 'another' },
  { advertiserId: 'another' },
  { destinationUrl: 'https://example.com/another' },
  { status: 'PAUSED' },
] as const)('a change of %o alone is an update, and is what is read', async (changes) => {
  await upsertAds(ledger.pool, [ad('a'), ad('b')]);
  expect(await upsertAds(ledger.pool, [ad('a', changes)])).toEqual({ created: 0, updated: 1 });
  expect(await readAds(ledger.pool, ['a'])).toEqual([ad('a', changes)]);
  expect(await readAds(ledger.pool, ['b'])).toEqual([ad('b')]);
});

test('all or none: an ad that cannot be stored keeps the others out', async () => {
  const wrong = [ad('a'), ad('b', { status: 'UNKNOWN' as Ad['status'] }), ad('c')];
  await expect(upsertAds(ledger.pool, wrong)).rejects.toThrow('check constraint');
  await expect(upsertAds(ledger.pool, [ad('a'), ad('a')])).rejects.toThrow('a second time');
  expect(await pageAds(ledger.pool, '', 10)).toEqual([]);
});

test('ads are found by id, unknown ones are left out, and odd texts are as they were', async () => {
  const odd = ['a"b', "a'b", '\\', '{a,b}', 'NULL', '広告', ' '].map((adId) =>
    ad(adId, {
      campaignId: `${adId},"`,
      advertiserId: `{${adId}}`,
      destinationUrl: `https://example.com/${adId}`,
    }),
  );
  await upsertAds(ledger.pool, odd);
  const found = await readAds(ledger.pool, [...idsOf(odd), 'unknown', 'NULL']);
  const byId = (left: Ad, right: Ad) => (left.adId < right.adId ? -1 : 1);
  expect(found.toSorted(byId)).toEqual(odd.toSorted(byId));
  expect(await readAds(ledger.pool, [])).toEqual([]);
});

test('pages follow each other in the order of bytes, without an overlap or a hole', async () => {
  const ids = ['a', 'B', 'b', 'A', 'Z', 'é', 'e', 'aa', 'a b', '_', '10', '9', '広', '🖱', '\uffee', '~'];
  await upsertAds(
    ledger.pool,
    ids.map((id) => ad(id)),
  );
  const ordered = ids.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
  const read: string[] = [];
  for (let pages = 0; pages < 20; pages++) {
    const page = await pageAds(ledger.pool, read.at(-1) ?? '', 3);
    if (page.length === 0) break;
    expect(page.length).toBeLessThanOrEqual(3);
    read.push(...idsOf(page));
  }
  expect(read).toEqual(ordered);
});

test('ads are found by how their ids begin, whatever characters follow, page by page', async () => {
  const ids = ['sho', 'shoe', 'shoe%', 'shoe_x', 'shoeé', 'shoe🖱', 'shof', 'Shoe', 's%'];
  await upsertAds(
    ledger.pool,
    ids.map((id) => ad(id)),
  );
  const begun = ['shoe', 'shoe%', 'shoe_x', 'shoeé', 'shoe🖱'];
  expect(idsOf(await listAds(ledger.pool, 'shoe', '', 10))).toEqual(begun);
  expect(idsOf(await listAds(ledger.pool, 'shoe', 'shoe%', 2))).toEqual(['shoe_x', 'shoeé']);
  expect(idsOf(await listAds(ledger.pool, 's%', '', 10))).toEqual(['s%']);
  expect(await listAds(ledger.pool, '', '', 10)).toHaveLength(ids.length);
  expect(await listAds(ledger.pool, 'x', '', 10)).toEqual([]);
});

test('two writers of the same ads in opposite orders both get through', async () => {
  const ids = Array.from({ length: 200 }, (_, index) => `ad ${index}`);
  for (let round = 0; round < 5; round++) {
    const given = (campaignId: string) => ids.map((id) => ad(id, { campaignId: `${campaignId} ${round}` }));
    await Promise.all([upsertAds(ledger.pool, given('one')), upsertAds(ledger.pool, given('two').reverse())]);
  }
  const ads = await readAds(ledger.pool, ids);
  expect(ads).toHaveLength(200);
  expect(new Set(ads.map(({ campaignId }) => campaignId)).size).toBe(1);
});
