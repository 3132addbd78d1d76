/** Gives a shard back, so that another actors process can take it over at once. */
import type { Pool } from 'pg';
import type { Hold } from '../../domain/checkpoint.ts';

/** Does nothing where the shard has gone to another owner meanwhile. */
export async function releaseShard(pool: Pool, { shard, epoch, claim }: Hold): Promise<void> {
  await pool.query(
    `update shard set owner = null, lease_until = '-infinity' where shard = $1 and epoch = $2 and claim = $3`,
    [shard, epoch, claim],
  );
}
