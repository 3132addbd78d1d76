/**
 * The settlement's row, and how somebody has it for a moment alone. Flushes and restatements hold it shared until they
 * have ended (storeFlush.ts, restate.ts): so who has it alone knows that all of them are in what is read afterwards.
 */
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import type { Settlement } from '../../domain/settlement.ts';
import { milliseconds } from './moments.ts';
import { exactNumber } from './pool.ts';

/** Flushes that come while this waits wait behind it; so it waits in short portions. */
const LOCK_MS = 1_000;
const PAUSE_MS = 250;
/** All in all longer than a flush may take. */
const ATTEMPTS_MAX = 40;
/** SQLSTATE lock_not_available: also of a wait that was too long. */
const LOCKED = '55P03';

// A lock of the table rather than of its row: who waits for a row is passed by all who want to share it, for ever.
const ALONE = `begin; set local lock_timeout = ${LOCK_MS}; lock table settlement in exclusive mode`;

const WATCH = `
  update settlement set watched_through = greatest(watched_through, to_timestamp($1::float8))`;

const ARRIVALS = 'select shard, arrived_through_ms from shard';

export const SETTLEMENT = `
  select ${milliseconds('watched_through')} as watched, ${milliseconds('settled_through')} as settled,
    ${milliseconds('closed_through')} as closed
  from settlement`;

export interface SettlementRow {
  readonly watched: number;
  readonly settled: number;
  readonly closed: number;
}

/** @throws Error where the table has lost its row */
export function toSettlement(row: SettlementRow | undefined): Settlement {
  if (row === undefined) throw new Error('the table settlement has no row');
  return { watchedThroughMs: row.watched, settledThroughMs: row.settled, closedThroughMs: row.closed };
}

export async function readSettlement(pool: Pool): Promise<Settlement> {
  const { rows } = await pool.query<SettlementRow>(SETTLEMENT);
  return toSettlement(rows[0]);
}

/** From its end on, every change of a minute before `throughMs` is a restatement; what was not is stored. */
export async function watchThrough(pool: Pool, throughMs: number): Promise<void> {
  await withSettlementAlone(pool, (client) => client.query(WATCH, [throughMs / 1000]));
}

/** Up to where what arrived is stored, by shard. */
export async function readArrivals(pool: Pool): Promise<ReadonlyMap<number, number>> {
  const { rows } = await pool.query<{ shard: number; arrived_through_ms: string }>(ARRIVALS);
  return new Map(
    rows.map(({ shard, arrived_through_ms }) => [shard, exactNumber(arrived_through_ms)] as const),
  );
}

/** Does `work` in one transaction in which nobody else counts, settles or closes. It must be short. */
export async function withSettlementAlone<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  try {
    const result = await aloneInSession(client, work);
    client.release();
    return result;
  } catch (error) {
    // The transaction's state is unknown: this connection is not used again.
    client.release(true);
    throw error;
  }
}

/** As `withSettlementAlone`, in a session that is there already. */
export async function aloneInSession<T>(
  client: PoolClient,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(ALONE);
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      const isLocked = error instanceof DatabaseError && error.code === LOCKED;
      if (!isLocked || attempt === ATTEMPTS_MAX) throw error;
      await client.query('rollback');
      await Bun.sleep(PAUSE_MS);
    }
  }
}
