/** Day partitions of the counts and their rollups, made when a day is first needed. */
import { DatabaseError, type Pool } from 'pg';

const DAY_MS = 86_400_000;
/**
 * Those that are cut by UTC day, and how full a page gets, percent: a flush writes to all of them. Rows of rollups are
 * written again by flush after flush: with room beside them that takes a third less processor time and half of the log
 * (docs/decisions/0019-rollups.md).
 */
const FILL_FACTORS = {
  ad_minute: 100,
  ad_hour: 50,
  ad_day: 50,
  ad_dimension: 50,
  shard_dimension: 50,
  ad_people: 50,
};
/** Any number, the same everywhere: who makes a partition holds this advisory lock. */
const LOCK_ID = 6_210_384_114;
/** SQLSTATE check_violation: of these it says that a row's day has no partition. */
const NO_PARTITION = '23514';

export class DayPartitions {
  readonly #pool: Pool;
  /** Days (since the Unix epoch) whose partition exists or is being made. At most one a day within MAX_EVENT_AGE. */
  readonly #days = new Map<number, Promise<void>>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Does `write` with the partitions for these minutes there (first milliseconds of minute windows). Where it fails
   * because one is not there after all, the next try looks again.
   */
  async with<T>(minutes: Iterable<number>, write: () => Promise<T>): Promise<T> {
    await this.ensure(minutes);
    try {
      return await write();
    } catch (error) {
      if (error instanceof DatabaseError && error.code === NO_PARTITION) this.#days.clear();
      throw error;
    }
  }

  /** Makes what is missing of the partitions for these minutes. */
  async ensure(minutes: Iterable<number>): Promise<void> {
    const days = new Set<number>();
    for (const minute of minutes) days.add(Math.floor(minute / DAY_MS));
    for (const day of days) await this.#ensureDay(day);
  }

  #ensureDay(day: number): Promise<void> {
    let made = this.#days.get(day);
    if (made === undefined) {
      made = this.#make(day);
      this.#days.set(day, made);
      made.catch(() => this.#days.delete(day));
    }
    return made;
  }

  async #make(day: number): Promise<void> {
    const from = new Date(day * DAY_MS).toISOString();
    const to = new Date((day + 1) * DAY_MS).toISOString();
    const suffix = from.slice(0, 10).replaceAll('-', '_');
    // One that was detached is attached again: its day is needed. Made apart and then attached: unlike `create table …
    // partition of`, that does not lock out readers. Looked up in pg_class, because to_regclass may answer from a cache
    // that is older than the lock.
    const made = Object.entries(FILL_FACTORS).map(([table, percent]) => {
      const partition = `${table}_${suffix}`;
      return `
      if not exists (select from pg_class where relname = '${partition}' and relnamespace = current_schema()::regnamespace) then
        create table ${partition} (like ${table} including all) with (fillfactor = ${percent});
      end if;
      if not exists (select from pg_inherits where inhrelid = '${partition}'::regclass and inhparent = '${table}'::regclass) then
        alter table ${table} attach partition ${partition} for values from ('${from}') to ('${to}');
      end if;`;
    });
    await this.#pool.query(`do $$ begin
      perform pg_advisory_xact_lock(${LOCK_ID});${made.join('')}
    end $$`);
  }
}
