/** A migrated database of its own with a pool, and what tests of the ledger put into it. */
import type { Pool, PoolClient } from 'pg';
import { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import type { DeltaRow, Flush } from '../../../src/domain/flush.ts';
import { emptyCounts, type WindowCounts } from '../../../src/domain/windowCounts.ts';
import { freshDatabase } from '../../support/postgres.ts';

export interface Ledger {
  readonly pool: Pool;
  readonly url: string;
  end(): Promise<void>;
}

/** A minute that is also the first of its hour, day and month. */
export const MINUTE = Date.UTC(2025, 9, 1);
/** The random word of the owner that `addShard` gives a shard, and `flushOf` a flush. */
export const CLAIM = '7d9ce3a1-0b51-4c52-9d2f-3a7f6c1e8b40';
export const INCARNATION = '2025-10-01T00:00:00.123456789Z';

export async function openLedger(): Promise<Ledger> {
  const database = await freshDatabase();
  const pool = connectPostgres(database.url, 'test', 8, () => undefined);
  return {
    pool,
    url: database.url,
    end: async () => {
      await pool.end();
      await database.drop();
    },
  };
}

/** Back to what `openLedger` gives, in a fraction of its time. */
export async function emptyLedger({ pool }: Ledger): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits join pg_class on pg_class.oid = inhparent and relkind = 'p'`,
  );
  for (const { name } of rows) await pool.query(`drop table ${name}`);
  await pool.query(
    'truncate shard, shard_minute, actor_node, dead_letter, ad, restatement, adjustment, settled, drift, billing_period, settled_version',
  );
  await pool.query('update reconcile_run set run = 0, chunk = 0');
  await pool.query(
    'update settlement set watched_through = default, settled_through = default, closed_through = default',
  );
}

export function partitionsOf({ pool }: Ledger): DayPartitions {
  return new DayPartitions(pool);
}

/** A shard's row, as a claim would have left it. */
export async function addShard(
  { pool }: Ledger,
  shard: number,
  { epoch = 1, floor = 0, owner = 'one' } = {},
): Promise<void> {
  await pool.query(
    `insert into shard (shard, incarnation, owner, lease_until, epoch, claim, floor)
     values ($1, $2, $3, clock_timestamp() + interval '1 hour', $4, $5, $6)`,
    [shard, INCARNATION, owner, epoch, CLAIM, floor],
  );
}

export function delta(adId: string, minute: number, counts: Partial<WindowCounts>): DeltaRow {
  return { adId, minute, counts: { ...emptyCounts(), ...counts } };
}

export function flushOf(changes: Partial<Flush>): Flush {
  return {
    shard: 0,
    incarnation: INCARNATION,
    epoch: 1,
    claim: CLAIM,
    floor: 0,
    newFloor: 10,
    streamTimeMs: MINUTE,
    arrivedThroughMs: MINUTE,
    rows: [],
    ruleSetVersions: (changes.rows ?? []).map(() => 1),
    rollups: [],
    people: [],
    records: 0,
    duplicates: 0,
    deadLetters: [],
    ...changes,
  };
}

/** Every counted row, as numbers, in the order of its key. */
export async function countedRows({ pool }: Ledger): Promise<Record<string, unknown>[]> {
  const { rows } = await pool.query(
    `select ad_id, (extract(epoch from minute) * 1000)::float8 as minute, valid::float8, repeat::float8, givt::float8,
       sivt::float8, defective::float8, test::float8, fingerprint_high::float8 as high, fingerprint_low::float8 as low
     from ad_minute order by ad_id, ad_minute.minute`,
  );
  return rows;
}

export async function shardRow(
  { pool }: Ledger,
  shard: number,
): Promise<Record<string, unknown> | undefined> {
  const { rows } = await pool.query(
    `select owner, epoch::float8, floor::float8, stream_time_ms::float8 as stream_time, arrived_through_ms::float8 as arrived,
       records::float8, duplicates::float8, dead_letters::float8 from shard where shard = $1`,
    [shard],
  );
  return rows[0];
}

/** One session for the whole of `use`, as a transaction needs it; it is not used again. */
export async function inSession<T>({ pool }: Ledger, use: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await use(client);
  } finally {
    client.release(true);
  }
}

/** What an operation takes for a pool, so that it runs inside this session's transaction. */
export function asPool(client: PoolClient): Pool {
  return client as unknown as Pool;
}

/** Resolves once `sessions` sessions of this database wait for a lock. */
export async function untilWaiting({ pool }: Ledger, sessions = 1): Promise<void> {
  for (;;) {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if ((rowCount ?? 0) >= sessions) return;
    await Bun.sleep(5);
  }
}

/** Through where minutes are watched, settled and closed; what is not given is as far as the next that is. */
export async function setSettlement(
  { pool }: Pick<Ledger, 'pool'>,
  through: { readonly watched?: number; readonly settled?: number; readonly closed?: number },
): Promise<void> {
  const { closed, settled = closed, watched = settled } = through;
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1_000);
  await pool.query(
    `update settlement set watched_through = coalesce(to_timestamp($1::bigint), '-infinity'),
       settled_through = coalesce(to_timestamp($2::bigint), '-infinity'),
       closed_through = coalesce(to_timestamp($3::bigint), '-infinity')`,
    [seconds(watched), seconds(settled), seconds(closed)],
  );
}

/** Every restatement, with what it changed, in order. */
export async function restatedRows({ pool }: Ledger): Promise<Record<string, unknown>[]> {
  const { rows } = await pool.query(
    `select cause, run::float8, ad_id, (extract(epoch from minute) * 1000)::float8 as minute, before_valid::float8 as before,
       after_valid::float8 as after, revision, (extract(epoch from booked_in) * 1000)::float8 as booked_in, note
     from restatement order by id`,
  );
  return rows;
}

/** Every adjustment, in the order of its key. */
export async function adjustedRows({ pool }: Ledger): Promise<Record<string, unknown>[]> {
  const { rows } = await pool.query(
    `select ad_id, (extract(epoch from minute) * 1000)::float8 as minute,
       (extract(epoch from booked_in) * 1000)::float8 as booked_in, valid::float8, repeat::float8, givt::float8,
       sivt::float8, defective::float8, test::float8, fingerprint_high::float8 as high, fingerprint_low::float8 as low
     from adjustment order by ad_id, adjustment.minute, adjustment.booked_in`,
  );
  return rows;
}
