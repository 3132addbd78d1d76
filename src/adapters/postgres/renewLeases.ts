/**
 * The heartbeat of an owner: renews the leases of its shards and moves `arrived_through` of those on which nothing
 * is pending. It compares epoch, claim and floor as a flush does, so that an idle owner notices, too, when it was fenced
 * or when PostgreSQL went back to an earlier state (I8).
 */
import type { Pool } from 'pg';
import type { Heartbeat } from '../../domain/checkpoint.ts';

const RENEW = {
  name: 'renew-leases',
  text: `
  update shard set lease_until = clock_timestamp() + $7 * interval '1 millisecond',
    arrived_through_ms = greatest(shard.arrived_through_ms, beat.arrived_through_ms)
  from unnest($1::integer[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
    as beat (shard, epoch, claim, floor, flushing_to, arrived_through_ms)
  where shard.shard = beat.shard and shard.epoch = beat.epoch and shard.claim = beat.claim
    and shard.floor in (beat.floor, beat.flushing_to)
  returning shard.shard`,
};

/** The shards whose checkpoint is still the one that the owner knows. */
export async function renewLeases(
  pool: Pool,
  beats: readonly Heartbeat[],
  leaseMs: number,
): Promise<Set<number>> {
  const { rows } = await pool.query<{ shard: number }>(RENEW, [
    beats.map(({ shard }) => shard),
    beats.map(({ epoch }) => epoch),
    beats.map(({ claim }) => claim),
    beats.map(({ floor }) => floor),
    beats.map(({ flushingTo }) => flushingTo),
    beats.map(({ arrivedThroughMs }) => Math.floor(arrivedThroughMs)),
    leaseMs,
  ]);
  return new Set(rows.map(({ shard }) => shard));
}
