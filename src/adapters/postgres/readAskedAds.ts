/** Ads that a question is about, with their campaigns and advertisers: as the catalog has them. */
import type { Pool } from 'pg';
import type { AdDimension, AskedAd } from '../../domain/groups.ts';

const COLUMNS = 'ad_id, campaign_id, advertiser_id';

/** Those that the catalog has, by id; of more than `adsMax` the first. */
export async function readAskedAds(
  pool: Pool,
  by: AdDimension,
  ids: readonly string[],
  adsMax: number,
): Promise<AskedAd[]> {
  const { rows } = await pool.query<AskedAd>({
    name: `read-asked-ads-by-${by}`,
    text: `select ${COLUMNS} from ad where ${by} = any($1) order by ad_id limit $2`,
    values: [ids, adsMax],
  });
  return rows;
}
