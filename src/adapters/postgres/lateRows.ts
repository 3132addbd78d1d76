/**
 * Pieces of SQL for changes of minutes that are watched or final. They follow on CTEs `delta` (the changes, each with
 * `closed` and `closed_through`) and `counted` (the changed rows of `ad_minute` as they are now).
 */
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';

/** Final rows do not move: what comes for their minutes is added up beside them, in the open period. */
export const BOOKED = `
  booked as (
    insert into adjustment as stored (ad_id, minute, booked_in, ${eachCount((column) => column)})
    select ad_id, minute, closed_through, ${eachCount((column) => column)} from delta
    where closed and (select count(*) from counted) >= 0
    on conflict (ad_id, minute, booked_in) do update set
      ${eachCount((column) => `${column} = stored.${column} + excluded.${column}`)}
    returning ad_id, minute, booked_in, ${eachCount((column) => column)}
  )`;

// What this statement adds is not in what it reads of the tables, only in what its parts return.
const FINAL_AND_EARLIER = `
  (select ad_id, minute, ${eachCount((column) => column)} from ad_minute
   union all
   select ad_id, minute, ${eachCount((column) => column)} from adjustment where booked_in <> booked.booked_in)`;

const BEFORE_AND_AFTER = [
  ...COUNT_COLUMNS.map(([, column]) => `changed.${column} - delta.${column}`),
  ...COUNT_COLUMNS.map(([, column]) => `changed.${column}`),
].join(', ');

/** A restatement for each late row, in the flush's own transaction (I13). */
export const LATE_RESTATED = `
  changed as (
    select ad_id, minute, ${eachCount((column) => column)}, revision, null::timestamptz as booked_in
    from counted where (ad_id, minute) in (select ad_id, minute from delta where watched)
    union all
    select booked.ad_id, booked.minute,
      ${eachCount((column) => `booked.${column} + coalesce(beside.${column}, 0)`)}, null, booked_in
    from booked left join lateral (
      select ${eachCount((column) => `sum(part.${column})::bigint as ${column}`)} from ${FINAL_AND_EARLIER} as part
      where part.ad_id = booked.ad_id and part.minute = booked.minute) as beside on true
  ), restated as (
    insert into restatement (cause, rule_set_version, streams, late, ad_id, minute,
      ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}, revision, booked_in)
    select 'LATE', version, $41::jsonb, 0, ad_id, minute, ${BEFORE_AND_AFTER}, revision, booked_in
    from changed join delta using (ad_id, minute)
  )`;
