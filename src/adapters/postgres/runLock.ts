/**
 * One run that writes at a time: an advisory lock of a session, which goes with the process that holds it. It keeps
 * order, so that no scheduled run fences a person's; the fence (restate.ts) keeps exactness.
 */
import type { Pool, PoolClient } from 'pg';

/** Any two numbers, the same everywhere. */
export const RUN_LOCK = [6_210, 384_117] as const;

const TAKE = `select pg_try_advisory_lock(${RUN_LOCK}) as taken`;
const LEAVE = `select pg_advisory_unlock(${RUN_LOCK})`;

/** A connection that holds the lock; undefined: another one does. */
export async function takeRunLock(pool: Pool): Promise<PoolClient | undefined> {
  const client = await pool.connect();
  // A connection that breaks is heard of by whoever uses it; unheard, it would end the process.
  client.on('error', ignore);
  try {
    const { rows } = await client.query<{ taken: boolean }>(TAKE);
    if (rows[0]?.taken === true) return client;
  } catch (error) {
    client.release(true);
    throw error;
  }
  client.off('error', ignore);
  client.release();
  return undefined;
}

/** Lets others take it. */
export async function leaveRunLock(client: PoolClient): Promise<void> {
  // Said, because the server lets it go some time after the connection is gone.
  await client.query(LEAVE).catch(ignore);
  client.release(true);
}

function ignore(): void {
  // What uses the connection fails, and says so.
}
