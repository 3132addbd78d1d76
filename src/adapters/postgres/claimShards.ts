/**
 * Takes shards over (I9, I16), at most so many: those with this owner, from before it died, then those without one or
 * whose owner's lease has run out. A row that somebody holds at this moment is left alone: it is being claimed, or
 * its owner is in the middle of a flush, and waiting for that would hold up the others. The epoch
 * rises and the claim is a new random word, so whatever the owner before still sends is refused; the word also where
 * PostgreSQL went back to an earlier state and gives the epoch out a second time.
 */
import type { Pool } from 'pg';
import type { Checkpoint, ShardToClaim } from '../../domain/checkpoint.ts';
import { exactNumber } from './pool.ts';

// In order, so that two who add the same never wait for each other in a circle; and only what is missing, because an
// insert waits for a flush that is just changing the row in its way.
const ADD_MISSING = `
  insert into shard (shard, incarnation)
  select shard, incarnation from unnest($1::integer[], $2::text[]) as wanted (shard, incarnation)
  where not exists (select from shard where shard.shard = wanted.shard)
  order by shard
  on conflict (shard) do nothing`;

const CLAIM = `
  with free as (
    select shard.shard, wanted.claim from shard
    join unnest($2::integer[], $3::uuid[], $4::boolean[]) as wanted (shard, claim, only_take_over) using (shard)
    where (owner <> $1 and lease_until < clock_timestamp()) or (not only_take_over and (owner is null or owner = $1))
    order by owner is distinct from $1, shard
    limit $5
    for update of shard skip locked
  )
  update shard set owner = $1, epoch = epoch + 1, claim = free.claim,
    lease_until = clock_timestamp() + $6 * interval '1 millisecond'
  from free where shard.shard = free.shard
  returning shard.shard, incarnation, epoch, shard.claim, floor, stream_time_ms, arrived_through_ms`;

interface Row {
  shard: number;
  incarnation: string;
  epoch: string;
  claim: string;
  floor: string;
  stream_time_ms: string;
  arrived_through_ms: string;
}

/** The checkpoints of the shards that now are this owner's. */
export async function claimShards(
  pool: Pool,
  owner: string,
  shards: readonly ShardToClaim[],
  most: number,
  leaseMs: number,
): Promise<Checkpoint[]> {
  const numbers = shards.map(({ shard }) => shard);
  await pool.query(ADD_MISSING, [numbers, shards.map(({ incarnation }) => incarnation)]);
  const { rows } = await pool.query<Row>(CLAIM, [
    owner,
    numbers,
    shards.map(({ claim }) => claim),
    shards.map(({ onlyTakeOver }) => onlyTakeOver),
    most,
    leaseMs,
  ]);
  return rows.map((row) => ({
    shard: row.shard,
    incarnation: row.incarnation,
    epoch: exactNumber(row.epoch),
    claim: row.claim,
    floor: exactNumber(row.floor),
    streamTimeMs: exactNumber(row.stream_time_ms),
    arrivedThroughMs: exactNumber(row.arrived_through_ms),
  }));
}
