/** The checkpoints of all shards, and who owns them. */
import type { PoolClient } from 'pg';
import type { OwnedCheckpoint } from '../../domain/aggregates.ts';
import { exactNumber } from './pool.ts';

const CHECKPOINTS = {
  name: 'read-checkpoints',
  text: `select shard, owner, epoch, claim, floor, arrived_through_ms from shard order by shard`,
};

interface Row {
  shard: number;
  owner: string | null;
  epoch: string;
  claim: string | null;
  floor: string;
  arrived_through_ms: string;
}

export async function readCheckpoints(client: PoolClient): Promise<OwnedCheckpoint[]> {
  const { rows } = await client.query<Row>(CHECKPOINTS);
  return rows.map((row) => ({
    shard: row.shard,
    owner: row.owner ?? undefined,
    epoch: exactNumber(row.epoch),
    claim: row.claim ?? undefined,
    floor: exactNumber(row.floor),
    arrivedThroughMs: exactNumber(row.arrived_through_ms),
  }));
}
