/** Several reads of one moment: what they find belongs together. */
import type { Pool, PoolClient } from 'pg';

export async function inSnapshot<T>(pool: Pool, read: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const found = await read(client);
    await client.query('commit');
    client.release();
    return found;
  } catch (error) {
    // The transaction's state is unknown: this connection is not used again.
    client.release(true);
    throw error;
  }
}
