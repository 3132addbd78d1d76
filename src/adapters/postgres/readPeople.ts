/** Sketches of people of some ads or campaigns, with how fresh they are, as of one moment. */
import type { Pool, PoolClient } from 'pg';
import type { PeopleReading, PeopleWanted } from '../../domain/peopleReading.ts';
import { milliseconds } from './moments.ts';
import { exactNumber } from './pool.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

const CAMPAIGNS = {
  name: 'read-ads-of-campaigns',
  text: 'select ad_id, campaign_id from ad where campaign_id = any($1) limit $2',
};

// Without a name, so that it is planned for its own days: only their partitions are looked at.
const WANTED = `
  from ad_people
  where ad_id = any($1) and start >= to_timestamp($4::bigint) and start < to_timestamp($5::bigint)
    and ((hours = 24 and start = any($2::timestamptz[])) or (hours = 1 and start = any($3::timestamptz[])))`;
const COUNT = `select count(*) as sketches from (select ${WANTED} limit $6) as found`;
const READ = `select ad_id, hours, extract(epoch from start)::bigint as start, sketch ${WANTED}`;

const FRESHNESS = `
  select min(arrived_through_ms) as arrived, (select ${milliseconds('since')} from people_since) as since from shard`;

interface Row {
  readonly ad_id: string;
  readonly hours: 1 | 24;
  readonly start: string;
  readonly sketch: Buffer;
}

export function readPeople(pool: Pool, wanted: PeopleWanted, signal: AbortSignal): Promise<PeopleReading> {
  const read = async (client: PoolClient): Promise<PeopleReading> => {
    const campaigns = wanted.subjects.kind === 'campaigns' ? await readCampaigns(client, wanted) : undefined;
    if (campaigns !== undefined && campaigns.size > wanted.adsMax) return { kind: 'tooManyAds' };
    const { rows: fresh } = await client.query<{ arrived: string | null; since: number | null }>(FRESHNESS);
    const sinceMs = fresh[0]?.since;
    if (sinceMs === undefined || sinceMs === null) throw new Error('the table people_since has no row');
    const asked = [
      campaigns === undefined ? wanted.subjects.ids : [...campaigns.keys()],
      wanted.days.map(isoTime),
      wanted.hours.map(isoTime),
      wanted.range.fromMs / 1000,
      wanted.range.toMs / 1000,
    ];
    const counted = await client.query<{ sketches: string }>(COUNT, [...asked, wanted.sketchesMax + 1]);
    if (exactNumber(counted.rows[0]?.sketches ?? '0') > wanted.sketchesMax)
      return { kind: 'tooManySketches' };
    const sketches = await client.query<Row>(READ, asked);
    const settlement = await client.query<SettlementRow>(SETTLEMENT);
    return {
      kind: 'read',
      sketches: sketches.rows.map(({ ad_id, hours, start, sketch }) => ({
        subject: campaigns?.get(ad_id) ?? ad_id,
        hours,
        startMs: exactNumber(start) * 1000,
        sketch,
      })),
      settlement: toSettlement(settlement.rows[0]),
      arrivedThroughMs: exactNumber(fresh[0]?.arrived ?? '0'),
      sinceMs,
    };
  };
  return inSnapshot(pool, read, signal);
}

/** Campaigns by their ads. */
async function readCampaigns(client: PoolClient, wanted: PeopleWanted): Promise<Map<string, string>> {
  const { rows } = await client.query<{ ad_id: string; campaign_id: string }>({
    ...CAMPAIGNS,
    values: [wanted.subjects.ids, wanted.adsMax + 1],
  });
  return new Map(rows.map(({ ad_id, campaign_id }) => [ad_id, campaign_id]));
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
