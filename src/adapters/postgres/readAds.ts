/** Reads ads of the catalog: by id, a page in the order of their ids, or those whose id begins with a text. */
import type { Pool } from 'pg';
import type { Ad, AdStatus } from '../../domain/ad.ts';

interface Row {
  ad_id: string;
  campaign_id: string;
  advertiser_id: string;
  destination_url: string;
  status: AdStatus;
}

const COLUMNS = 'ad_id, campaign_id, advertiser_id, destination_url, status';
const BY_ID = { name: 'read-ads', text: `select ${COLUMNS} from ad where ad_id = any($1)` };
const PAGE = { name: 'page-ads', text: `select ${COLUMNS} from ad where ad_id > $1 order by ad_id limit $2` };
/** Ids are in the order of their bytes, so those that begin alike stand together; no text has a character beyond the last. */
const BY_PREFIX = {
  name: 'list-ads',
  text: `select ${COLUMNS} from ad where ad_id > $2 and ad_id >= $1 and ad_id < $1 || chr(1114111) order by ad_id limit $3`,
};

/** Those of the ads that exist, in no order. */
export async function readAds(pool: Pool, adIds: readonly string[]): Promise<Ad[]> {
  const { rows } = await pool.query<Row>({ ...BY_ID, values: [adIds] });
  return rows.map(toAd);
}

/** The first `limit` ads whose id comes after `afterAdId`, by id. */
export async function pageAds(pool: Pool, afterAdId: string, limit: number): Promise<Ad[]> {
  const { rows } = await pool.query<Row>({ ...PAGE, values: [afterAdId, limit] });
  return rows.map(toAd);
}

/** The first `limit` ads whose id begins with `prefix` and comes after `afterAdId`, by id. */
export async function listAds(pool: Pool, prefix: string, afterAdId: string, limit: number): Promise<Ad[]> {
  const { rows } = await pool.query<Row>({ ...BY_PREFIX, values: [prefix, afterAdId, limit] });
  return rows.map(toAd);
}

function toAd(row: Row): Ad {
  return {
    adId: row.ad_id,
    campaignId: row.campaign_id,
    advertiserId: row.advertiser_id,
    destinationUrl: row.destination_url,
    status: row.status,
  };
}
