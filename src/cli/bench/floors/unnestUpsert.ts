/** Floor of part e: rows added to a table by one statement and nothing else. */
import type { Pool } from 'pg';
import { COUNT_COLUMNS, eachCount } from '../../../adapters/postgres/countColumns.ts';
import type { DeltaRow } from '../../../domain/flush.ts';

export const UNNEST_TABLE = `
  create table unnest_minute (
    ad_id text collate "C" not null, minute timestamptz not null, ${eachCount((column) => `${column} bigint not null`)},
    primary key (ad_id, minute)
  )`;

const UPSERT = {
  name: 'unnest-upsert',
  text: `
  insert into unnest_minute as stored (ad_id, minute, ${eachCount((column) => column)})
  select ad_id, to_timestamp(minute), ${eachCount((column) => column)}
  from unnest($1::text[], $2::bigint[], ${eachCount((_, index) => `$${index + 3}::bigint[]`)})
    as row (ad_id, minute, ${eachCount((column) => column)})
  order by ad_id collate "C", minute
  on conflict (ad_id, minute) do update set ${eachCount((column) => `${column} = stored.${column} + excluded.${column}`)}`,
};

export async function upsertByUnnest(pool: Pool, rows: readonly DeltaRow[]): Promise<void> {
  const values = [
    rows.map(({ adId }) => adId),
    rows.map(({ minute }) => minute / 1_000),
    ...COUNT_COLUMNS.map(([name]) => rows.map(({ counts }) => counts[name])),
  ];
  await pool.query({ ...UPSERT, values });
}
