/**
 * A recount in PostgreSQL: checkpoints and counts as of one moment (I8: so they belong together), beside them a temporary
 * table that the replay fills, and the comparison, all in one transaction of one session. Nothing is held in memory
 * but a portion of windows.
 *
 * The transaction ends with the comparison; what was found stays in a table of the session.
 */
import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg';
import type { AdDifference, Compared, Differences } from '../../domain/difference.ts';
import type { RollupRow } from '../../domain/dimensions.ts';
import type { RecountedPortion, RecountedWindow, WindowSelection } from '../../domain/recount.ts';
import { type CountedShard, UndecidedError } from '../../domain/replayRange.ts';
import type { RunStepOutcome } from '../../domain/restatement.ts';
import type { Reclassification } from '../../domain/rulesInForce.ts';
import type { SettlingStep } from '../../domain/settlement.ts';
import { numberArray } from './arrayLiteral.ts';
import { rollupComparisons } from './compareRollups.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import { differencePages, totals } from './differencePages.ts';
import { exactNumber } from './pool.ts';
import { readReclassifications } from './reclassifications.ts';
import { explainStep, MOVED } from './restate.ts';
import { binned, eachDisposition, rollupParameters } from './rollupRows.ts';
import { raised } from './settledVersion.ts';
import { aloneInSession } from './settlement.ts';

const BEGIN = `
  begin isolation level repeatable read;
  create temporary table recount (ad_id text collate "C" not null, minute timestamptz not null,
    ${eachCount((column) => `${column} bigint not null`)}, late bigint not null, primary key (ad_id, minute));
  create temporary table recount_dimension (ad_id text collate "C" not null, kind smallint not null,
    quarter timestamptz not null, value text collate "C" not null, value2 text collate "C" not null,
    ${eachDisposition((column) => `${column} bigint not null`)});
  create temporary table difference (number bigint generated always as identity,
    rollup text, ad_id text collate "C" not null, minute timestamptz not null,
    day timestamptz generated always as (${binned('1 day', 'minute')}) stored,
    kind smallint, value text, value2 text, ${eachCount((column) => `before_${column} numeric`)},
    ${eachCount((column) => `after_${column} numeric`)}, late bigint, needs_longer_replay boolean not null,
    beside boolean, primary key (ad_id, day, number))`;

const SHARDS = 'select shard, incarnation, floor, records, dead_letters from shard order by shard';

const ADD = `
  insert into recount (ad_id, minute, ${eachCount((column) => column)}, late)
  select ad_id, to_timestamp(minute), ${eachCount((column) => column)}, late
  from unnest($1::text[], $2::bigint[], ${eachCount((_, index) => `$${index + 3}::bigint[]`)}, $11::bigint[])
    as row (ad_id, minute, ${eachCount((column) => column)}, late)
  on conflict (ad_id, minute) do update set
    ${eachCount((column) => `${column} = recount.${column} + excluded.${column}`)}, late = recount.late + excluded.late`;

// Portions add up in the comparison: where few come again, that is cheaper than looking for each.
const ADD_DIMENSIONS = `
  insert into recount_dimension (ad_id, kind, quarter, value, value2, ${eachDisposition((column) => column)})
  select ad_id, kind, to_timestamp(quarter), value, value2, ${eachDisposition((column) => column)}
  from unnest($1::text[], $2::smallint[], $3::bigint[], $4::text[], $5::text[],
      ${eachDisposition((_, index) => `$${index + 6}::bigint[]`)})
    as row (ad_id, kind, quarter, value, value2, ${eachDisposition((column) => column)})`;

const SELECTED = `($1::bigint is null or minute >= to_timestamp($1::bigint))
      and ($2::bigint is null or minute < to_timestamp($2::bigint)) and ($3::text[] is null or ad_id = any($3))`;

// What is counted of a window of a closed period is its final row and the adjustments beside it.
const COMPARE = `
  with stored as (
    select * from ad_minute where ${SELECTED}
  ), adjusted as (
    select ad_id, minute, ${eachCount((column) => `sum(${column})::bigint as ${column}`)} from adjustment where ${SELECTED}
    group by ad_id, minute
  ), compared as (
    select ad_id, minute,
      ${eachCount((column) => `coalesce(stored.${column}, 0) + coalesce(adjusted.${column}, 0) as before_${column}`)},
      ${eachCount((column) => `coalesce(recount.${column}, 0) as after_${column}`)}, coalesce(late, 0) as late
    from stored full join adjusted using (ad_id, minute) full join recount using (ad_id, minute)
  ), found as (
    insert into difference (ad_id, minute, ${eachCount((column) => `before_${column}`)},
      ${eachCount((column) => `after_${column}`)}, late, needs_longer_replay)
    select compared.*, $1::bigint is not null and exists (
      select from restatement
      where restatement.ad_id = compared.ad_id and restatement.minute = compared.minute and restatement.late > 0
        and (range_from is null or range_from < to_timestamp($1::bigint)))
    from compared
    where (${eachCount((column) => `before_${column}`)}) <> (${eachCount((column) => `after_${column}`)})
    order by ad_id, minute
    returning number
  )
  select (select count(*) from compared) as windows, (select coalesce(sum(late), 0) from compared) as late,
    (select count(*) from found) as differing`;

const BY_AD = `
  select ad_id, count(*) as windows, ${eachCount((column) => `sum(before_${column}) as before_${column}`)},
    ${eachCount((column) => `sum(after_${column}) as after_${column}`)}
  from difference where rollup is null group by ad_id order by abs(sum(after_valid - before_valid)) desc, ad_id limit $1`;

// What differs was altered without a word to anybody: from now on it is read anew, not remembered.
// What another replay found to differ, and this one does not, is right again, if it began no later. Differences that are
// restated ended with their restatement.
const SETTLE = `
  with ${MOVED}, left_over as (
    select ad_id, minute from difference
    where rollup is null and minute < to_timestamp($3::float8) and (not $5 or needs_longer_replay) and exists (select from moved)
  ), ended as (
    update drift set ended_at = clock_timestamp()
    where ended_at is null and minute < to_timestamp($3::float8) and exists (select from moved)
      and ($4::bigint is null or (minute >= to_timestamp($4::bigint) and range_from >= to_timestamp($4::bigint)))
      and not exists (select from left_over where left_over.ad_id = drift.ad_id and left_over.minute = drift.minute)
  ), found as (
    insert into drift (ad_id, minute, run, range_from)
    select ad_id, minute, $1, to_timestamp($4::bigint) from left_over
    on conflict (ad_id, minute) where ended_at is null do update
      set range_from = case when excluded.range_from is not null then least(drift.range_from, excluded.range_from) end
      where drift.range_from is not null
  ), ${raised('select ad_id, minute from left_over')}, advanced as (
    update settlement set settled_through = greatest(settled_through, to_timestamp($3::float8))
    where exists (select from moved)
    returning settled_through
  ), marked as (
    insert into settled (through, run) select settled_through, $1 from advanced on conflict (through) do nothing
  )
  select count(*) as moved from moved`;

export class RecountSession {
  readonly shards: readonly CountedShard[];
  readonly reclassifications: readonly Reclassification[];
  readonly #client: PoolClient;
  /** Why the connection is gone. */
  readonly #broken: { readonly why?: Error };
  #isClosed = false;

  private constructor(
    client: PoolClient,
    broken: { readonly why?: Error },
    shards: readonly CountedShard[],
    reclassifications: readonly Reclassification[],
  ) {
    this.#client = client;
    this.#broken = broken;
    this.shards = shards;
    this.reclassifications = reclassifications;
  }

  /** @param pool with no bound for a statement or a wait: a replay may take hours */
  static async open(pool: Pool): Promise<RecountSession> {
    const client = await pool.connect();
    // A connection that breaks during the replay is found by the next statement; unheard, it would end the process.
    const broken: { why?: Error } = {};
    client.on('error', (error) => {
      broken.why ??= error;
    });
    try {
      await client.query(BEGIN);
      const { rows } = await client.query(SHARDS);
      const reclassifications = await readReclassifications(client);
      return new RecountSession(client, broken, rows.map(toShard), reclassifications);
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  /** @param portion no window twice */
  async add({ windows, rollups }: RecountedPortion): Promise<void> {
    if (windows.length > 0) await this.#addWindows(windows);
    if (rollups.length > 0) await this.#addRollups(rollups);
  }

  async #addWindows(windows: readonly RecountedWindow[]): Promise<void> {
    await this.#query(ADD, [
      windows.map(({ adId }) => adId),
      numberArray(windows.map(({ minute }) => minute / 1000)),
      ...COUNT_COLUMNS.map(([name]) => numberArray(windows.map(({ counts }) => counts[name]))),
      numberArray(windows.map(({ late }) => late)),
    ]);
  }

  async #addRollups(rollups: readonly RollupRow[]): Promise<void> {
    await this.#query(ADD_DIMENSIONS, rollupParameters(rollups));
  }

  async compare(selection: WindowSelection, withDimensions: boolean): Promise<Compared> {
    const { fromMs, toMs, adIds } = selection;
    // Nobody else analyzes a temporary table.
    await this.#query('analyze recount; analyze recount_dimension');
    const { rows } = await this.#query<Record<'windows' | 'late' | 'differing', string>>(COMPARE, [
      fromMs === undefined ? undefined : fromMs / 1000,
      toMs === undefined ? undefined : toMs / 1000,
      adIds === undefined ? undefined : [...adIds],
    ]);
    await this.#query('analyze difference');
    const sums = { rollups: 0, rollupsDiffering: 0 };
    for (const { text, values } of rollupComparisons(selection, withDimensions)) {
      const { rows } = await this.#query<Record<'rollups' | 'differing', string>>(text, [...values]);
      sums.rollups += exactNumber(rows[0]?.rollups ?? '0');
      sums.rollupsDiffering += exactNumber(rows[0]?.differing ?? '0');
    }
    await this.#query('commit');
    const { windows = '0', late = '0', differing = '0' } = rows[0] ?? {};
    return {
      windows: exactNumber(windows),
      late: exactNumber(late),
      differing: exactNumber(differing),
      ...sums,
    };
  }

  differences(most: number): AsyncGenerator<Differences> {
    return differencePages((text, values) => this.#query(text, values), most);
  }

  async adDifferences(most: number): Promise<AdDifference[]> {
    const { rows } = await this.#query<Record<string, string>>(BY_AD, [most]);
    return rows.map((row) => ({
      adId: row['ad_id'] ?? '',
      windows: exactNumber(row['windows'] ?? ''),
      before: totals(row, 'before', COUNT_COLUMNS),
      after: totals(row, 'after', COUNT_COLUMNS),
    }));
  }

  /** After the last restatement: writes down what is settled now, and which windows are not. */
  async settle(step: SettlingStep): Promise<RunStepOutcome> {
    const { run, chunk, throughMs, fromMs, restated } = step;
    return aloneInSession(this.#client, async (client) => {
      const values = [
        run,
        chunk,
        throughMs / 1000,
        fromMs === undefined ? undefined : fromMs / 1000,
        restated,
      ];
      const { rows } = await client.query<{ moved: string }>(SETTLE, values);
      return rows[0]?.moved === '1' ? { kind: 'done' } : explainStep(client, step);
    });
  }

  /** The client says of every statement after the first that it cannot be used any more, but not why. */
  async #query<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<Row>> {
    try {
      return await this.#client.query<Row>(text, values);
    } catch (error) {
      const { why } = this.#broken;
      throw why === undefined
        ? error
        : new UndecidedError(
            `the connection to PostgreSQL broke in the middle: ${why.message}. Run it again`,
          );
    }
  }

  /** Ends the session, and with it its tables and what it waits for. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#client.release(true);
  }
}

function toShard(row: Record<string, string>): CountedShard {
  return {
    shard: Number(row['shard']),
    incarnation: row['incarnation'] ?? '',
    floor: exactNumber(row['floor'] ?? ''),
    records: exactNumber(row['records'] ?? ''),
    deadLetters: exactNumber(row['dead_letters'] ?? ''),
  };
}
