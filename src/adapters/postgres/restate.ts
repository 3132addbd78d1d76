/**
 * Restates windows: one statement, hence one transaction, moves the run's fence, adds the differences to the counts and to
 * their sums (I10) and writes each down (I13). What differs in a final window is booked as an adjustment. Where another run has begun it
 * does nothing of that.
 */
import type { Pool } from 'pg';
import type { RestatementChunk, RunStepOutcome } from '../../domain/restatement.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import type { DayPartitions } from './dayPartitions.ts';
import { BOOKED } from './lateRows.ts';
import { exactNumber } from './pool.ts';
import { mends, mendsParameters } from './restateRollups.ts';
import { rolledUp } from './rollupRows.ts';
import { AFTER_RAISED, raised } from './settledVersion.ts';

const RAISE = 'update reconcile_run set run = run + 1, chunk = 0 returning run';

/** Moves the fence from the step before; no row where another run has begun, or this step is done. */
export const MOVED = `
  moved as (
    update reconcile_run set chunk = $2 where run = $1 and chunk = $2 - 1 returning run
  )`;

/** The number of the first parameter of what is mended beside the windows. */
const MENDS = 27;

// What all ads have together has an empty ad_id: any word that changes will do, for all of them are in its version.
const RESTATED = `
    select ad_id, minute from (
      select * from unnest($3::text[], $4::timestamptz[])
      union all
      select ad_id, to_timestamp(seconds) from unnest($${MENDS + 1}::text[], $${MENDS + 2}::bigint[]) as mend (ad_id, seconds)
    ) as row (ad_id, minute)
    where exists (select from moved)`;

// Rows go in by key, so that it and a flush of the same rows never wait for each other in a circle. The settlement is
// held shared, as by a flush: a period is closed before all of it, or after. What a run found that began earlier stays
// open: this one may not see why the window differs.
const RESTATE = {
  name: 'restate',
  text: `
  with held as (
    select closed_through from settlement limit 1 for share
  ), ${MOVED}, ${raised(RESTATED)}, delta as (
    select ad_id, minute, minute < closed_through as closed, closed_through, late, version,
      ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)},
      ${eachCount((column) => `after_${column} - before_${column} as ${column}`)}
    from unnest($3::text[], $4::timestamptz[], ${eachCount((_, index) => `$${index + 5}::bigint[]`)},
      ${eachCount((_, index) => `$${index + 13}::bigint[]`)}, $21::bigint[], $22::integer[])
      as row (ad_id, minute, ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}, late, version)
      cross join held
    where exists (select from moved) and ${AFTER_RAISED}
    order by ad_id collate "C", minute
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, ${eachCount((column) => column)}, revision)
    select ad_id, minute, ${eachCount((column) => column)}, 1 from delta where not closed
    on conflict (ad_id, minute) do update set
      ${eachCount((column) => `${column} = stored.${column} + excluded.${column}`)}, revision = stored.revision + 1
    returning ad_id, minute, revision
  ), ${BOOKED}, ${mends(MENDS)}, ${rolledUp('-1', true)}, restated as (
    insert into restatement (run, cause, note, rule_set_version, streams, range_from, ad_id, minute, late, revision,
      booked_in, ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)})
    select $1, $25, $26, version, $23::jsonb, to_timestamp($24::bigint), ad_id, minute, late, revision,
      case when closed then closed_through end, ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}
    from delta left join counted using (ad_id, minute)
  ), mended as (
    update drift set ended_at = clock_timestamp() from delta
    where drift.ad_id = delta.ad_id and drift.minute = delta.minute and ended_at is null
      and ($24::bigint is null or range_from >= to_timestamp($24::bigint))
  )
  select count(*) as moved from moved`,
};

const READ = 'select run, chunk from reconcile_run';

/** The number of a new run. */
export async function beginReconcileRun(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ run: string }>(RAISE);
  return exactNumber(rows[0]?.run ?? '');
}

/** May be tried again after any error: it takes effect once. */
export async function restate(
  pool: Pool,
  partitions: DayPartitions,
  chunk: RestatementChunk,
): Promise<RunStepOutcome> {
  const minutes = [
    ...chunk.differences.map(({ minute }) => minute),
    ...chunk.rollups.map(({ startMs }) => startMs),
  ];
  const { rows } = await partitions.with(minutes, () =>
    pool.query<{ moved: string }>(RESTATE, parameters(chunk)),
  );
  return rows[0]?.moved === '1' ? { kind: 'done' } : explainStep(pool, chunk);
}

/** The fence was not where this run left it: an earlier try went through, or another run has begun. */
export async function explainStep(
  client: Pick<Pool, 'query'>,
  { run, chunk }: { readonly run: number; readonly chunk: number },
): Promise<RunStepOutcome> {
  const { rows } = await client.query<{ run: string; chunk: string }>(READ);
  const [row] = rows;
  if (row === undefined) return { kind: 'fenced', found: 'the table reconcile_run has no row' };
  if (exactNumber(row.run) === run && exactNumber(row.chunk) === chunk) return { kind: 'done' };
  return { kind: 'fenced', found: `run ${row.run} has begun and is at part ${row.chunk}` };
}

function parameters(restated: RestatementChunk): unknown[] {
  const { run, chunk, differences, rollups, ranges, fromMs, cause, note } = restated;
  const streams = ranges.map(({ shard, incarnation, fromSequence, throughSequence }) => [
    shard,
    { incarnation, from: fromSequence, through: throughSequence },
  ]);
  return [
    run,
    chunk,
    differences.map(({ adId }) => adId),
    differences.map(({ minute }) => new Date(minute)),
    ...COUNT_COLUMNS.map(([name]) => differences.map(({ before }) => before[name])),
    ...COUNT_COLUMNS.map(([name]) => differences.map(({ after }) => after[name])),
    differences.map(({ late }) => late),
    differences.map(({ ruleSetVersion }) => ruleSetVersion),
    JSON.stringify(Object.fromEntries(streams)),
    fromMs === undefined ? undefined : fromMs / 1000,
    cause,
    note,
    ...mendsParameters(rollups),
  ];
}
