/**
 * Pieces of SQL that add a delta to the rollups, in the statement that adds it to `ad_minute` (I10). They follow on the
 * CTEs `delta` (changes of minutes, each with `closed`), `rollup` (the same clicks by dimensions) and
 * `counted` (the changed rows of `ad_minute`). Nothing of final minutes moves in a rollup.
 *
 * Each piece begins when the one before it has ended, and writes its rows by key. So every statement comes to the rows in
 * the same order, and no two of them wait for each other in a circle.
 */

import type { Rollup } from '../../domain/difference.ts';
import type { RollupRow } from '../../domain/dimensions.ts';
import type { DispositionCounts } from '../../domain/windowCounts.ts';
import { numberArray, textArray } from './arrayLiteral.ts';
import { COUNT_COLUMNS } from './countColumns.ts';

/** The counted columns of a rollup, and the names of the same counts in the domain. */
export const DISPOSITION_COLUMNS = COUNT_COLUMNS.filter(
  (column): column is readonly [name: keyof DispositionCounts, column: string] =>
    !column[0].startsWith('fingerprint'),
);

/** A piece of SQL for each of them, with commas between. */
export function eachDisposition(sql: (column: string, index: number) => string): string {
  return DISPOSITION_COLUMNS.map(([, column], index) => sql(column, index)).join(', ');
}

/** The start of the stretch of time of this width that holds a moment, in UTC. */
export function binned(width: '1 minute' | '15 minutes' | '1 hour' | '1 day', moment: string): string {
  return `date_bin('${width}', ${moment}, timestamptz '1970-01-01 00:00+00')`;
}

/** Once that piece has written all its rows. */
function after(piece: string): string {
  return `(select count(*) from ${piece}) >= 0`;
}

const COLUMNS = eachDisposition((column) => column);
const SUMS = eachDisposition((column) => `sum(${column})::bigint`);
const ADDED = eachDisposition((column) => `${column} = stored.${column} + excluded.${column}`);

/**
 * @param shard the SQL of its number; restatements add to a shard of their own
 * @param withMends there is a CTE `mends`: what is added to rows of rollups beside their windows' changes
 */
export function rolledUp(shard: string, withMends = false): string {
  const mends = (rollup: Rollup, columns: string) =>
    withMends ? `union all select ${columns}, ${COLUMNS} from mends where rollup = '${rollup}'` : '';
  return `
  hours as (
    insert into ad_hour as stored (ad_id, hour, ${COLUMNS})
    select ad_id, hour, ${SUMS} from (
      select ad_id, ${binned('1 hour', 'minute')} as hour, ${COLUMNS} from delta where not closed
      ${mends('ad_hour', 'ad_id, starts')}) as part
    where ${after('counted')}
    group by ad_id, hour order by ad_id collate "C", hour
    on conflict (ad_id, hour) do update set ${ADDED}
    returning 1
  ), days as (
    insert into ad_day as stored (ad_id, day, ${COLUMNS})
    select ad_id, day, ${SUMS} from (
      select ad_id, ${binned('1 day', 'minute')} as day, ${COLUMNS} from delta where not closed
      ${mends('ad_day', 'ad_id, starts')}) as part
    where ${after('hours')}
    group by ad_id, day order by ad_id collate "C", day
    on conflict (ad_id, day) do update set ${ADDED}
    returning 1
  ), shard_minutes as (
    insert into shard_minute as stored (shard, minute, ${COLUMNS})
    select ${shard}, minute, ${SUMS} from (
      select minute, ${COLUMNS} from delta where not closed ${mends('shard_minute', 'starts')}) as part
    where ${after('days')}
    group by minute order by minute
    on conflict (minute, shard) do update set ${ADDED}
    returning 1
  ), dimensions as (
    insert into ad_dimension as stored (ad_id, kind, quarter, value, value2, ${COLUMNS})
    select ad_id, kind, quarter, value, value2, ${COLUMNS}
    from rollup where ${after('shard_minutes')}
    order by ad_id collate "C", kind, quarter, value collate "C", value2 collate "C"
    on conflict (ad_id, kind, quarter, value, value2) do update set ${ADDED}
    returning 1
  ), shard_dimensions as (
    insert into shard_dimension as stored (shard, kind, quarter, value, value2, ${COLUMNS})
    select ${shard}, kind, quarter, value, value2, ${SUMS} from (
      select kind, quarter, value, value2, ${COLUMNS} from rollup
      ${mends('shard_dimension', 'kind, starts, value, value2')}) as part
    where ${after('dimensions')}
    group by kind, quarter, value, value2 order by kind, quarter, value collate "C", value2 collate "C"
    on conflict (kind, quarter, value, value2, shard) do update set ${ADDED}
  )`;
}

/** The values of rows by dimensions, an array a column: ad_id, kind, quarter in seconds, value, value2, and the counts. */
export function rollupParameters(rows: readonly RollupRow[]): unknown[] {
  return [
    textArray(rows.map(({ adId }) => adId)),
    numberArray(rows.map(({ kind }) => kind)),
    numberArray(rows.map(({ quarter }) => quarter / 1000)),
    textArray(rows.map(({ value }) => value)),
    textArray(rows.map(({ value2 }) => value2)),
    ...DISPOSITION_COLUMNS.map(([name]) => numberArray(rows.map((row) => row[name]))),
  ];
}
