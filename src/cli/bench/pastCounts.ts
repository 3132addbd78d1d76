/** Counts of the past as flushes would have left them, written by SQL: minutes, and the rollups that are their sums. */
import type { Pool } from 'pg';
import { DayPartitions } from '../../adapters/postgres/dayPartitions.ts';
import { eachDisposition } from '../../adapters/postgres/rollupRows.ts';
import { adId, ZIPF_EXPONENT } from './benchAds.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Rounds of a measurement end a minute earlier each; so much more is there than a question asks for. */
const MARGIN_MS = DAY_MS;
const MONTH_MS = 30 * DAY_MS;
/** Of the most popular of all ads, in its day. */
const CLICKS_MAX = 1_000_000;

export interface PastCounts {
  /** Ads in the catalog: each was clicked every minute of the last two hours, and every tenth of the day before. */
  readonly ads: number;
  /** Other ads, each clicked in one minute of the last UTC day: few of them get most of the clicks. */
  readonly dayAds: number;
  /** Where the past ends. */
  readonly endMs: number;
}

/** The first ad was clicked every minute of a month. Nothing may be counted before or meanwhile. */
export async function writePast(pool: Pool, { ads, dayAds, endMs }: PastCounts): Promise<void> {
  const fromMs = endMs - MONTH_MS - MARGIN_MS;
  const days: number[] = [];
  for (let day = fromMs; day < endMs + DAY_MS; day += DAY_MS) days.push(day);
  await new DayPartitions(pool).ensure(days);
  await pool.query(EVERY_MINUTE, [fromMs, endMs, adId(0), endMs - 2 * HOUR_MS, endMs - DAY_MS - MARGIN_MS]);
  const dayMs = lastDayOf(endMs);
  await pool.query(ONE_MINUTE, [
    dayMs,
    adId(ads).length - 'ad-'.length,
    ads,
    dayAds,
    CLICKS_MAX,
    ZIPF_EXPONENT,
  ]);
  for (const rollup of ROLLUPS) await pool.query(rollup);
  // As autovacuum does in the course of such a month.
  await pool.query('vacuum (analyze) ad_minute, ad_hour, ad_day, shard_minute');
}

/** The first moment of the UTC day in which the past ends. */
export function lastDayOf(endMs: number): number {
  return Math.floor((endMs - 1) / DAY_MS) * DAY_MS;
}

const COLUMNS = eachDisposition((column) => column);
const SUMS = eachDisposition((column) => `sum(${column})`);
const INTO_MINUTES = `insert into ad_minute (ad_id, minute, ${COLUMNS}, fingerprint_high, fingerprint_low)`;

const EVERY_MINUTE = `
  ${INTO_MINUTES}
  select ad_id, to_timestamp(minute), 5, 1, 0, 0, 0, 0, 1, 1
  from ad, generate_series($1::bigint / 1000, $2::bigint / 1000 - 60, 60) as minute
  where ad_id = $3 or minute >= $4::bigint / 1000 or (minute >= $5::bigint / 1000 and minute % 600 = 0)
  order by 1, 2`;

// The order of popularity has nothing to do with that of names, and gross clicks have another order than clicks.
const ONE_MINUTE = `
  ${INTO_MINUTES}
  select 'ad-' || lpad(($3::bigint + number)::text, $2::integer, '0'), to_timestamp($1::bigint / 1000 + number % 1440 * 60),
    clicks, clicks * (rank % 7) / 20, 0, case when rank % 100 = 0 then 2 * clicks else 0 end, 0, 0, 1, 1
  from (
    select number, rank, greatest(1, $5::float8 / rank ^ $6::float8)::bigint as clicks
    from (select number, 1 + number * 7368787 % $4::bigint as rank from generate_series(0, $4::bigint - 1) as number) as ranked
  ) as clicked`;

const ROLLUPS = [
  `insert into ad_hour (ad_id, hour, ${COLUMNS})
   select ad_id, date_trunc('hour', minute, 'UTC'), ${SUMS} from ad_minute group by 1, 2`,
  `insert into ad_day (ad_id, day, ${COLUMNS})
   select ad_id, date_trunc('day', hour, 'UTC'), ${SUMS} from ad_hour group by 1, 2`,
  // Nobody's shard, as where rollups began.
  `insert into shard_minute (shard, minute, ${COLUMNS}) select -1, minute, ${SUMS} from ad_minute group by minute`,
];
