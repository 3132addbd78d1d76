/** How many windows before `settled_through` a run found to differ, and nobody has restated yet. */
import type { Pool } from 'pg';
import { exactNumber } from './pool.ts';

const COUNT = 'select count(*) as windows from drift where ended_at is null';

export async function countDrift(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ windows: string }>(COUNT);
  return exactNumber(rows[0]?.windows ?? '0');
}
