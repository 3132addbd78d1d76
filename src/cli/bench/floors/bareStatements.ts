/** Floors of part f: the rows of a question by the statement that somebody would write for it alone, without an answer. */
import type { Pool } from 'pg';
import { eachDisposition } from '../../../adapters/postgres/rollupRows.ts';

const COLUMNS = eachDisposition((column) => column);

/** @param fromMs first moment, as `toMs` in milliseconds */
export function minutesOf(pool: Pool, adId: string, fromMs: number, toMs: number): Promise<unknown> {
  const text = `select minute, ${COLUMNS} from ad_minute
    where ad_id = $1 and minute >= to_timestamp($2::float8 / 1000) and minute < to_timestamp($3::float8 / 1000) order by minute`;
  return pool.query(text, [adId, fromMs, toMs]);
}

/** Whole hours. */
export function hoursOf(
  pool: Pool,
  adIds: readonly string[],
  fromMs: number,
  toMs: number,
): Promise<unknown> {
  const text = `select ad_id, hour, ${COLUMNS} from ad_hour
    where ad_id = any($1) and hour >= to_timestamp($2::float8 / 1000) and hour < to_timestamp($3::float8 / 1000) order by 1, 2`;
  return pool.query(text, [adIds, fromMs, toMs]);
}

/** @param count the SQL of what is ranked */
export function largestOf(pool: Pool, count: string, dayMs: number, most: number): Promise<unknown> {
  const text = `select ad_id, ${COLUMNS} from ad_day where day = to_timestamp($1::float8 / 1000) order by ${count} desc, ad_id limit $2`;
  return pool.query(text, [dayMs, most]);
}
