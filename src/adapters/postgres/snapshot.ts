/** Several reads of one moment: what they find belongs together. */
import type { Pool, PoolClient } from 'pg';

// The server looks whether the caller is there still while a statement runs, and else ends it.
const BEGIN = `begin isolation level repeatable read read only; set local client_connection_check_interval = '250ms'`;

/**
 * @param signal ends the reading where it is given up: with its connection. To cancel its statement from another
 * connection could end the next one of somebody else.
 */
export async function inSnapshot<T>(
  pool: Pool,
  read: (client: PoolClient) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  const client = await pool.connect();
  // Whoever gave up while waiting has begun nothing: many of them would have each connection made anew.
  if (signal?.aborted) client.release();
  signal?.throwIfAborted();
  let isGiven = false;
  const giveBack = (broken: boolean) => {
    if (!isGiven) client.release(broken);
    isGiven = true;
  };
  const giveUp = () => giveBack(true);
  signal?.addEventListener('abort', giveUp);
  try {
    await client.query(BEGIN);
    const found = await read(client);
    await client.query('commit');
    giveBack(false);
    return found;
  } catch (error) {
    // The transaction's state is unknown: this connection is not used again.
    giveBack(true);
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}
