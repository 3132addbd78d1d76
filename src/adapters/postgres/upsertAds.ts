/** Stores ads of the catalog, all or none, and says how many are new or changed. */
import type { Pool } from 'pg';
import type { Ad } from '../../domain/ad.ts';

const UPSERT = {
  name: 'upsert-ads',
  text: `
  insert into ad as stored (ad_id, campaign_id, advertiser_id, destination_url, status)
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) as given (ad_id)
  order by ad_id collate "C"
  on conflict (ad_id) do update set campaign_id = excluded.campaign_id, advertiser_id = excluded.advertiser_id,
    destination_url = excluded.destination_url, status = excluded.status
  where (stored.campaign_id, stored.advertiser_id, stored.destination_url, stored.status)
    is distinct from (excluded.campaign_id, excluded.advertiser_id, excluded.destination_url, excluded.status)
  returning xmax = 0 as created`,
};

/** @param ads no ad_id twice */
export async function upsertAds(
  pool: Pool,
  ads: readonly Ad[],
): Promise<{ created: number; updated: number }> {
  const { rows } = await pool.query<{ created: boolean }>({
    ...UPSERT,
    values: [
      ads.map(({ adId }) => adId),
      ads.map(({ campaignId }) => campaignId),
      ads.map(({ advertiserId }) => advertiserId),
      ads.map(({ destinationUrl }) => destinationUrl),
      ads.map(({ status }) => status),
    ],
  });
  const created = rows.filter((row) => row.created).length;
  return { created, updated: rows.length - created };
}
