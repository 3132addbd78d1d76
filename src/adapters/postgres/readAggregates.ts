/** Counts and checkpoints as of one moment: what is stored, and what it is that is not stored yet. */
import type { Pool } from 'pg';
import type { OwnedCheckpoint, StoredAggregates, StoredRow } from '../../domain/aggregates.ts';
import type { Granularity } from '../../domain/granularity.ts';
import { exactNumber } from './pool.ts';

const ROWS = {
  name: 'read-aggregates',
  text: `
  select ad_id, (extract(epoch from date_trunc($4, minute, 'UTC')) * 1000)::bigint as bucket, sum(valid)::bigint as valid,
    sum(repeat)::bigint as repeat, sum(givt)::bigint as givt, sum(sivt)::bigint as sivt,
    sum(defective)::bigint as defective, sum(test)::bigint as test
  from ad_minute
  where ad_id = any($1) and minute >= to_timestamp($2::bigint) and minute < to_timestamp($3::bigint)
  group by 1, 2
  limit $5`,
};

const CHECKPOINTS = {
  name: 'read-checkpoints',
  text: `select shard, owner, epoch, claim, floor, arrived_through_ms from shard order by shard`,
};

interface CountRow extends Record<'valid' | 'repeat' | 'givt' | 'sivt' | 'defective' | 'test', string> {
  ad_id: string;
  bucket: string;
}

interface CheckpointRow {
  shard: number;
  owner: string | null;
  epoch: string;
  claim: string | null;
  floor: string;
  arrived_through_ms: string;
}

/** @param range half-open, on whole minutes, milliseconds since the Unix epoch */
export async function readAggregates(
  pool: Pool,
  adIds: readonly string[],
  range: { readonly fromMs: number; readonly toMs: number },
  granularity: Granularity,
  rowsMax: number,
): Promise<StoredAggregates> {
  const { counted, checkpoints } = await readSnapshot(pool, [
    adIds,
    range.fromMs / 1000,
    range.toMs / 1000,
    granularity.toLowerCase(),
    rowsMax,
  ]);
  return {
    rows: counted.map(
      (row): StoredRow => ({
        adId: row.ad_id,
        bucketMs: exactNumber(row.bucket),
        valid: exactNumber(row.valid),
        repeat: exactNumber(row.repeat),
        givt: exactNumber(row.givt),
        sivt: exactNumber(row.sivt),
        defective: exactNumber(row.defective),
        test: exactNumber(row.test),
      }),
    ),
    checkpoints: checkpoints.map(
      (row): OwnedCheckpoint => ({
        shard: row.shard,
        owner: row.owner ?? undefined,
        epoch: exactNumber(row.epoch),
        claim: row.claim ?? undefined,
        floor: exactNumber(row.floor),
        arrivedThroughMs: exactNumber(row.arrived_through_ms),
      }),
    ),
  };
}

/** Both reads in one transaction, so that they see the same moment. */
async function readSnapshot(
  pool: Pool,
  values: unknown[],
): Promise<{ counted: CountRow[]; checkpoints: CheckpointRow[] }> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const counted = await client.query<CountRow>({ ...ROWS, values });
    const checkpoints = await client.query<CheckpointRow>(CHECKPOINTS);
    await client.query('commit');
    client.release();
    return { counted: counted.rows, checkpoints: checkpoints.rows };
  } catch (error) {
    // The transaction's state is unknown: this connection is not used again.
    client.release(true);
    throw error;
  }
}
