/** Writes down where the clicks of a dead letter stand since they were published again. The first mark stays. */
import type { Pool } from 'pg';
import type { Position } from '../../domain/position.ts';

const MARK = `
  update dead_letter set redriven_at = clock_timestamp(), redriven_shard = $5, redriven_incarnation = $6,
    redriven_sequence = $7
  where (shard, incarnation, sequence, index) = ($1, $2, $3, $4) and redriven_at is null`;

/** @param to the message that carries the clicks now */
export async function markRedriven(pool: Pool, letter: Position, to: Omit<Position, 'index'>): Promise<void> {
  const { shard, incarnation, sequence, index } = letter;
  await pool.query(MARK, [shard, incarnation, sequence, index, to.shard, to.incarnation, to.sequence]);
}
