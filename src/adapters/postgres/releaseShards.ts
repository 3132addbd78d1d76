/** Gives shards back on drain, so that another actors process can take them over at once. */
import type { Pool } from 'pg';

export async function releaseShards(pool: Pool, owner: string): Promise<void> {
  await pool.query(`update shard set owner = null, lease_until = '-infinity' where owner = $1`, [owner]);
}
