/**
 * What readings of counts have in common: rows of buckets, over parameters $1 (ads), $2 and $3 (a half-open range in
 * seconds), $4 (the width of a bucket) and $5 (most rows).
 */
import type { DifferingBucket, StoredRow } from '../../domain/aggregates.ts';
import { exactNumber } from './pool.ts';

/**
 * The first moment of a minute's bucket. Hours and days are of one length in UTC, and `date_bin` is faster than `date_trunc` (a sum
 * over 60,000 windows: 29 and 39 ms). Where $4 is known when the statement is planned, nothing of the choice is left in the plan.
 */
export const BUCKET = `case when $4 = 'month' then date_trunc('month', minute, 'UTC') else date_bin(
    case $4 when 'day' then interval '1 day' when 'hour' then interval '1 hour' when 'minute' then interval '1 minute' end,
    minute, to_timestamp(0)) end`;

/** A moment in milliseconds since the Unix epoch. */
export function wholeMilliseconds(moment: string): string {
  return `(extract(epoch from ${moment}) * 1000)::bigint`;
}

export const IN_RANGE = `ad_id = any($1) and minute >= to_timestamp($2::bigint) and minute < to_timestamp($3::bigint)`;

/** @param condition which rows of `drift` count */
export function differingBuckets(condition: string): string {
  return `
  select ad_id, ${wholeMilliseconds(BUCKET)} as bucket, ${wholeMilliseconds('min(minute)')} as minute
  from drift
  where ${IN_RANGE} and ${condition}
  group by 1, 2
  limit $5`;
}

export interface CountRow
  extends Record<'valid' | 'repeat' | 'givt' | 'sivt' | 'defective' | 'test' | 'revision', string> {
  ad_id: string;
  bucket: string;
}

export interface DifferingRow {
  ad_id: string;
  bucket: string;
  minute: string;
}

export function toStoredRow(row: CountRow): StoredRow {
  return {
    adId: row.ad_id,
    bucketMs: exactNumber(row.bucket),
    revision: exactNumber(row.revision),
    valid: exactNumber(row.valid),
    repeat: exactNumber(row.repeat),
    givt: exactNumber(row.givt),
    sivt: exactNumber(row.sivt),
    defective: exactNumber(row.defective),
    test: exactNumber(row.test),
  };
}

export function toDifferingBucket(row: DifferingRow): DifferingBucket {
  return { adId: row.ad_id, bucketMs: exactNumber(row.bucket), minute: exactNumber(row.minute) };
}
