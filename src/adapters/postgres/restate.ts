/**
 * Restates windows: one statement, hence one transaction, moves the run's fence, adds the differences to the counts (I10)
 * and writes each down (I13). Where another run has begun it does nothing of that.
 */
import type { Pool } from 'pg';
import type { RestatementChunk, RestateOutcome } from '../../domain/restatement.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import type { DayPartitions } from './dayPartitions.ts';
import { exactNumber } from './pool.ts';

const RAISE = 'update reconcile_run set run = run + 1, chunk = 0 returning run';

// Rows go in by key, so that it and a flush of the same rows never wait for each other in a circle.
const RESTATE = {
  name: 'restate',
  text: `
  with moved as (
    update reconcile_run set chunk = $2 where run = $1 and chunk = $2 - 1 returning run
  ), change as (
    select ad_id, to_timestamp(minute) as minute, ${eachCount((column) => `before_${column}`)},
      ${eachCount((column) => `after_${column}`)}, late
    from unnest($3::text[], $4::bigint[], ${eachCount((_, index) => `$${index + 5}::bigint[]`)},
      ${eachCount((_, index) => `$${index + 13}::bigint[]`)}, $21::bigint[])
      as row (ad_id, minute, ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}, late)
    where exists (select from moved)
    order by ad_id collate "C", minute
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, ${eachCount((column) => column)})
    select ad_id, minute, ${eachCount((column) => `after_${column} - before_${column}`)} from change
    on conflict (ad_id, minute) do update set ${eachCount((column) => `${column} = stored.${column} + excluded.${column}`)}
  ), restated as (
    insert into restatement (run, cause, rule_set_version, streams, range_from, ad_id, minute,
      ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}, late)
    select $1, 'RECONCILE', $22, $23::jsonb, to_timestamp($24::bigint), * from change
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
): Promise<RestateOutcome> {
  const minutes = chunk.differences.map(({ minute }) => minute);
  const { rows } = await partitions.with(minutes, () =>
    pool.query<{ moved: string }>(RESTATE, parameters(chunk)),
  );
  return rows[0]?.moved === '1' ? { kind: 'restated' } : explain(pool, chunk);
}

/** The fence was not where this run left it: an earlier try went through, or another run has begun. */
async function explain(pool: Pool, { run, chunk }: RestatementChunk): Promise<RestateOutcome> {
  const { rows } = await pool.query<{ run: string; chunk: string }>(READ);
  const [row] = rows;
  if (row === undefined) return { kind: 'fenced', found: 'the table reconcile_run has no row' };
  if (exactNumber(row.run) === run && exactNumber(row.chunk) === chunk) return { kind: 'restated' };
  return { kind: 'fenced', found: `run ${row.run} has begun and is at part ${row.chunk}` };
}

function parameters({
  run,
  chunk,
  differences,
  ruleSetVersion,
  ranges,
  fromMs,
}: RestatementChunk): unknown[] {
  const streams = ranges.map(({ shard, incarnation, fromSequence, throughSequence }) => [
    shard,
    { incarnation, from: fromSequence, through: throughSequence },
  ]);
  return [
    run,
    chunk,
    differences.map(({ adId }) => adId),
    differences.map(({ minute }) => minute / 1000),
    ...COUNT_COLUMNS.map(([name]) => differences.map(({ before }) => before[name])),
    ...COUNT_COLUMNS.map(([name]) => differences.map(({ after }) => after[name])),
    differences.map(({ late }) => late),
    ruleSetVersion,
    JSON.stringify(Object.fromEntries(streams)),
    fromMs === undefined ? undefined : fromMs / 1000,
  ];
}
