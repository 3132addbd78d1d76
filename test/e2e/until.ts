/** Waits for what a running installation does by itself, and tells nobody of. */
import type { Pool } from 'pg';

const WAIT_MS = 60_000;
const POLL_MS = 20;

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}

/** @param records on all shards, since the installation was made */
export function untilStored(pool: Pool, records: number): Promise<void> {
  return until(`${records} records are stored`, async () => {
    const { rows } = await pool.query('select sum(records)::float8 as records from shard');
    return rows[0].records >= records;
  });
}
