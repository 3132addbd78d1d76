/**
 * Takes shards over (I9, I16): those without an owner, with this one, or whose owner's lease has run out. The epoch
 * rises and the claim is a new random word, so whatever the owner before still sends is refused; the word also where
 * PostgreSQL went back to an earlier state and gives the epoch out a second time.
 */
import type { Pool } from 'pg';
import type { Checkpoint, ShardToClaim } from '../../domain/checkpoint.ts';
import { exactNumber } from './pool.ts';

const ADD_MISSING = `
  insert into shard (shard, incarnation)
  select * from unnest($1::integer[], $2::text[])
  on conflict (shard) do nothing`;

const CLAIM = `
  with free as (
    select shard.shard, wanted.claim from shard
    join unnest($2::integer[], $3::uuid[]) as wanted (shard, claim) using (shard)
    where owner is null or owner = $1 or lease_until < clock_timestamp()
    order by shard
    for update of shard
  )
  update shard set owner = $1, epoch = epoch + 1, claim = free.claim,
    lease_until = clock_timestamp() + $4 * interval '1 millisecond'
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
  leaseMs: number,
): Promise<Checkpoint[]> {
  const numbers = shards.map(({ shard }) => shard);
  await pool.query(ADD_MISSING, [numbers, shards.map(({ incarnation }) => incarnation)]);
  const { rows } = await pool.query<Row>(CLAIM, [owner, numbers, shards.map(({ claim }) => claim), leaseMs]);
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
