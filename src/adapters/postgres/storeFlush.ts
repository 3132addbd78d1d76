/**
 * The flush (I8): one statement, hence one transaction, moves the checkpoint and adds the delta; where the
 * checkpoint is not the one that the owner knows, it does neither.
 *
 * It holds the settlement's row shared until it has ended. So it knows which of its minutes are watched, and a run that
 * settles knows which flushes are in its snapshot (I13). A flush with a watched minute is sent once more, as the
 * statement of late clicks: ordinary ones pay for nothing of it.
 */
import type { Pool } from 'pg';
import type { Flush, FlushOutcome } from '../../domain/flush.ts';
import { numberArray, textArray } from './arrayLiteral.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import type { DayPartitions } from './dayPartitions.ts';
import { BOOKED, LATE_RESTATED } from './lateRows.ts';
import { keptPeople, peopleParameters, unitePeople } from './peopleRows.ts';
import { exactNumber } from './pool.ts';
import { eachDisposition, rolledUp, rollupParameters } from './rollupRows.ts';
import { AFTER_RAISED, raised } from './settledVersion.ts';

/** Tries to get a view of the counts that is no older than the last closing of a period. */
const VIEWS_MAX = 10;

/** The first parameter of the rows of people. */
const PEOPLE_FIRST = 36;

const MOVED = `
  moved as (
    update shard set floor = $4, stream_time_ms = $5, arrived_through_ms = greatest(arrived_through_ms, $6),
      records = records + $7, duplicates = duplicates + $8, dead_letters = dead_letters + coalesce(cardinality($19::bigint[]), 0)
    from open
    where shard = $1 and epoch = $2 and claim = $24 and floor = $3
    returning shard
  )`;

/** @param more further columns of the rows, and the arrays with their values */
function given(more?: { readonly columns: string; readonly values: string }): string {
  const columns = `${eachCount((column) => column)}${more === undefined ? '' : `, ${more.columns}`}`;
  const values = `${eachCount((_, index) => `$${index + 11}::bigint[]`)}${more === undefined ? '' : `, ${more.values}`}`;
  return `
    select ad_id, to_timestamp(minute) as minute, ${columns}
    from unnest($9::text[], $10::bigint[], ${values}) as row (ad_id, minute, ${columns})
    where exists (select from moved)`;
}

const GIVEN_ROLLUP = `
    select ad_id, kind, to_timestamp(quarter) as quarter, value, value2, ${eachDisposition((column) => column)}
    from unnest($25::text[], $26::smallint[], $27::bigint[], $28::text[], $29::text[],
      ${eachDisposition((_, index) => `$${index + 30}::bigint[]`)})
      as row (ad_id, kind, quarter, value, value2, ${eachDisposition((column) => column)})
    where exists (select from moved)`;

const ADDED = eachCount((column) => `${column} = stored.${column} + excluded.${column}`);

const BURIED = `
  buried as (
    insert into dead_letter (shard, incarnation, sequence, index, reason, bytes)
    select $1, $23, sequence, index, reason, bytes
    from unnest($19::bigint[], $20::integer[], $21::text[], $22::bytea[]) as letter (sequence, index, reason, bytes)
    where exists (select from moved)
  )`;

// Rows go in by key, so two owners that write the same rows never wait for each other in a circle. READ COMMITTED reads
// the settlement as it is once the lock is there, whatever was waited for. `limit 1` is for the planner, which expects
// many rows of a table without statistics.
const STORE = {
  name: 'store-flush',
  text: `
  with held as (
    select watched_through from settlement limit 1 for share
  ), open as (
    select from held where $40::bigint is null or to_timestamp($40::bigint) >= watched_through
  ), ${MOVED}, delta as (
    select given.*, false as closed from (${given()}) as given
    order by ad_id collate "C", minute
  ), rollup as (${GIVEN_ROLLUP}
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, ${eachCount((column) => column)})
    select ad_id, minute, ${eachCount((column) => column)} from delta
    on conflict (ad_id, minute) do update set ${ADDED}
    returning 1
  ), ${rolledUp('$1::integer')}, ${keptPeople(PEOPLE_FIRST, false)}, ${BURIED}
  select (select count(*) from moved) as moved, exists (select from open) as open`,
};

const WATCHED = `
    select ad_id, minute
    from (select ad_id, to_timestamp(minute) as minute from unnest($9::text[], $10::bigint[]) as row (ad_id, minute)) as given
      cross join open
    where minute < watched_through and exists (select from moved)`;

// Sums of final windows are read as of the statement's beginning. Where a period was closed since, they may be too old:
// then nothing happens. Without a name, so that it is planned for its own number of rows: by a plan made for few rows,
// 10,000 took 12 s.
const STORE_LATE = {
  text: `
  with held as (
    select watched_through, closed_through from settlement limit 1 for share
  ), open as (
    select * from held where closed_through = (select closed_through from settlement)
  ), ${MOVED}, ${raised(WATCHED)}, delta as (
    select given.*, minute < watched_through as watched, minute < closed_through as closed, closed_through
    from (${given({ columns: 'version', values: '$40::integer[]' })}) as given cross join open
    where ${AFTER_RAISED}
    order by ad_id collate "C", minute
  ), rollup as (
    select given.* from (${GIVEN_ROLLUP}) as given cross join open where quarter >= closed_through
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, ${eachCount((column) => column)}, revision)
    select ad_id, minute, ${eachCount((column) => column)}, watched::integer from delta where not closed
    on conflict (ad_id, minute) do update set ${ADDED}, revision = stored.revision + excluded.revision
    returning ad_id, minute, ${eachCount((column) => column)}, revision
  ), ${BOOKED}, ${rolledUp('$1::integer')}, ${keptPeople(PEOPLE_FIRST, true)}, ${LATE_RESTATED}, ${BURIED}
  select (select count(*) from moved) as moved, exists (select from open) as open`,
};

const READ = `select owner, epoch, claim, floor from shard where shard = $1`;

/**
 * Stores a flush. May be tried again after any error: it takes effect once.
 * @throws Error where PostgreSQL did not answer, or not with a result.
 */
export async function storeFlush(pool: Pool, partitions: DayPartitions, flush: Flush): Promise<FlushOutcome> {
  const minutes = flush.rows.map(({ minute }) => minute);
  return partitions.with(minutes, async () => {
    const people = await unitePeople(pool, flush);
    if (people === undefined) return explain(pool, flush);
    const values = [...parameters(flush), ...peopleParameters(people)];
    const earliest = minutes.length === 0 ? undefined : minutes.reduce((one, other) => Math.min(one, other));
    const seconds = earliest === undefined ? undefined : earliest / 1000;
    const ordinary = await send(pool, STORE, [...values, seconds]);
    if (ordinary.open) return ordinary.moved ? { kind: 'stored' } : explain(pool, flush);
    return storeLate(pool, flush, [...values, numberArray(flush.ruleSetVersions), streamsOf(flush)]);
  });
}

async function storeLate(pool: Pool, flush: Flush, values: unknown[]): Promise<FlushOutcome> {
  for (let view = 1; view <= VIEWS_MAX; view++) {
    const { open, moved } = await send(pool, STORE_LATE, values);
    if (open) return moved ? { kind: 'stored' } : explain(pool, flush);
  }
  throw new Error('the table settlement has no row, or is changed all the time');
}

async function send(
  pool: Pool,
  statement: { readonly name?: string; readonly text: string },
  values: unknown[],
): Promise<{ moved: boolean; open: boolean }> {
  const { rows } = await pool.query<{ moved: string; open: boolean }>(statement, values);
  return { moved: rows[0]?.moved === '1', open: rows[0]?.open === true };
}

/** The checkpoint was not where the owner thought: an earlier try went through, or the owner is fenced. */
async function explain(pool: Pool, flush: Flush): Promise<FlushOutcome> {
  const { rows } = await pool.query<{ owner: string; epoch: string; claim: string; floor: string }>(READ, [
    flush.shard,
  ]);
  const row = rows[0];
  if (row === undefined) return { kind: 'fenced', found: 'no row' };
  const sameOwner = exactNumber(row.epoch) === flush.epoch && row.claim === flush.claim;
  if (sameOwner && exactNumber(row.floor) === flush.newFloor) return { kind: 'stored' };
  return {
    kind: 'fenced',
    found: `owner ${row.owner}, epoch ${row.epoch}, claim ${row.claim}, floor ${row.floor}`,
  };
}

/** Where the delta was counted, as a restatement names it. */
function streamsOf({ shard, incarnation, floor, newFloor }: Flush): string {
  return JSON.stringify({ [shard]: { incarnation, from: floor + 1, through: newFloor } });
}

function parameters(flush: Flush): unknown[] {
  const { rows, rollups, deadLetters } = flush;
  return [
    flush.shard,
    flush.epoch,
    flush.floor,
    flush.newFloor,
    Math.floor(flush.streamTimeMs),
    Math.floor(flush.arrivedThroughMs),
    flush.records,
    flush.duplicates,
    textArray(rows.map(({ adId }) => adId)),
    numberArray(rows.map(({ minute }) => minute / 1000)),
    ...COUNT_COLUMNS.map(([name]) => numberArray(rows.map(({ counts }) => counts[name]))),
    deadLetters.map(({ sequence }) => sequence),
    deadLetters.map(({ index }) => index),
    deadLetters.map(({ reason }) => reason),
    deadLetters.map(({ bytes }) => Buffer.from(bytes)),
    flush.incarnation,
    flush.claim,
    ...rollupParameters(rollups),
  ];
}
