/** How far each shard's stream is inside the counts. */
import type { Pool } from 'pg';
import { exactNumber } from './pool.ts';

type ShardRow = Readonly<Record<'shard' | 'incarnation' | 'floor', string>>;

export async function readCountedThrough(
  pool: Pool,
): Promise<Map<number, { readonly incarnation: string; readonly floor: number }>> {
  const { rows } = await pool.query<ShardRow>('select shard, incarnation, floor from shard');
  return new Map(
    rows.map(({ shard, incarnation, floor }) => [Number(shard), { incarnation, floor: exactNumber(floor) }]),
  );
}
