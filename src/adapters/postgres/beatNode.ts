/**
 * The heartbeat of an actors process, in one round trip: renews its own row and the leases of its shards, moves
 * `arrived_through` of those on which nothing is pending, and says which processes live. It compares epoch, claim and
 * floor as a flush does, so that an idle owner notices, too, when it was fenced or when PostgreSQL went back to an
 * earlier state (I8).
 *
 * It waits for nobody: a shard whose row a flush holds at this moment keeps its lease as it is until the next heartbeat,
 * or one slow flush would cost all shards of the process.
 */
import type { Pool } from 'pg';
import type { Heartbeat, Renewal } from '../../domain/checkpoint.ts';

const SAME_CHECKPOINT =
  'shard.epoch = beat.epoch and shard.claim = beat.claim and shard.floor in (beat.floor, beat.flushing_to)';

// What is read of actor_node is as it was before this statement; so this node's own name is added. Rows of nodes that
// died long ago are removed, or names that are never used again would gather (I14).
const BEAT = {
  name: 'beat-node',
  text: `
  with beat as (
    select * from unnest($4::integer[], $5::bigint[], $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[])
      as beat (shard, epoch, claim, floor, flushing_to, arrived_through_ms)
  ), held as (
    select shard.shard from shard join beat on shard.shard = beat.shard where ${SAME_CHECKPOINT}
  ), free as (
    select shard.shard from shard where shard.shard in (select shard from held) for update skip locked
  ), renewed as (
    update shard set lease_until = clock_timestamp() + $3 * interval '1 millisecond',
      arrived_through_ms = greatest(shard.arrived_through_ms, beat.arrived_through_ms)
    from beat
    where shard.shard = beat.shard and shard.shard in (select shard from free) and ${SAME_CHECKPOINT}
  ), lives as (
    insert into actor_node (node, lease_until)
    select $1, clock_timestamp() + $3 * interval '1 millisecond' where $2
    on conflict (node) do update set lease_until = excluded.lease_until
  ), removed as (
    delete from actor_node where (node = $1 and not $2) or node in (
      select node from actor_node where node <> $1 and lease_until < clock_timestamp() - interval '1 hour'
      for update skip locked)
  )
  select array(select shard from held) as held, array(
    select node from actor_node where node <> $1 and lease_until >= clock_timestamp()
    union all select $1 where $2) as nodes`,
};

/** @param lives whether the node is one of those that live, or leaves them */
export async function beatNode(
  pool: Pool,
  node: string,
  lives: boolean,
  beats: readonly Heartbeat[],
  leaseMs: number,
): Promise<Renewal> {
  const { rows } = await pool.query<{ held: number[]; nodes: string[] }>(BEAT, [
    node,
    lives,
    leaseMs,
    beats.map(({ shard }) => shard),
    beats.map(({ epoch }) => epoch),
    beats.map(({ claim }) => claim),
    beats.map(({ floor }) => floor),
    beats.map(({ flushingTo }) => flushingTo),
    beats.map(({ arrivedThroughMs }) => Math.floor(arrivedThroughMs)),
  ]);
  const { held = [], nodes = [] } = rows[0] ?? {};
  return { held: new Set(held), nodes };
}
