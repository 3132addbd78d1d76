/** Counts and checkpoints as of one moment: what is stored, how far it is settled, and what is not stored yet. */
import type { Pool } from 'pg';
import type { OwnedCheckpoint, StoredAggregates } from '../../domain/aggregates.ts';
import type { Granularity } from '../../domain/granularity.ts';
import {
  BUCKET,
  type CountRow,
  type DifferingRow,
  differingBuckets,
  IN_RANGE,
  toDifferingBucket,
  toStoredRow,
  wholeMilliseconds,
} from './aggregateRows.ts';
import { exactNumber } from './pool.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

// Without a name, so that it is planned for its own range and ads: by a plan for any, 60,000 windows took four times as
// long. Only what is left of the rows is reckoned in milliseconds.
const ROWS = {
  text: `
  select ad_id, ${wholeMilliseconds('bucket')} as bucket, valid, repeat, givt, sivt, defective, test, revision
  from (
    select ad_id, ${BUCKET} as bucket, sum(valid)::bigint as valid,
      sum(repeat)::bigint as repeat, sum(givt)::bigint as givt, sum(sivt)::bigint as sivt,
      sum(defective)::bigint as defective, sum(test)::bigint as test, sum(revision) as revision
    from ad_minute
    where ${IN_RANGE}
    group by 1, 2
    limit $5
  ) as counted`,
};

const DIFFERING = {
  name: 'read-differing',
  text: differingBuckets('ended_at is null and minute >= (select closed_through from settlement)'),
};

const CHECKPOINTS = {
  name: 'read-checkpoints',
  text: `select shard, owner, epoch, claim, floor, arrived_through_ms from shard order by shard`,
};

interface CheckpointRow {
  shard: number;
  owner: string | null;
  epoch: string;
  claim: string | null;
  floor: string;
  arrived_through_ms: string;
}

/** @param range half-open, on whole minutes, milliseconds since the Unix epoch */
export function readAggregates(
  pool: Pool,
  adIds: readonly string[],
  range: { readonly fromMs: number; readonly toMs: number },
  granularity: Granularity,
  rowsMax: number,
): Promise<StoredAggregates> {
  const values = [adIds, range.fromMs / 1000, range.toMs / 1000, granularity.toLowerCase(), rowsMax];
  return inSnapshot(pool, async (client) => {
    const counted = await client.query<CountRow>({ ...ROWS, values });
    const differing = await client.query<DifferingRow>({ ...DIFFERING, values });
    const settlement = await client.query<SettlementRow>(SETTLEMENT);
    const checkpoints = await client.query<CheckpointRow>(CHECKPOINTS);
    return {
      rows: counted.rows.map(toStoredRow),
      differing: differing.rows.map(toDifferingBucket),
      settlement: toSettlement(settlement.rows[0]),
      checkpoints: checkpoints.rows.map(toCheckpoint),
    };
  });
}

function toCheckpoint(row: CheckpointRow): OwnedCheckpoint {
  return {
    shard: row.shard,
    owner: row.owner ?? undefined,
    epoch: exactNumber(row.epoch),
    claim: row.claim ?? undefined,
    floor: exactNumber(row.floor),
    arrivedThroughMs: exactNumber(row.arrived_through_ms),
  };
}
