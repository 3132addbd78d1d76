/** One window as it is stored, and the shards' checkpoints, as of one moment. */
import type { Pool, PoolClient } from 'pg';
import type { WindowTotals } from '../../domain/difference.ts';
import type { CheckpointedShard, StoredWindow } from '../../domain/storedWindow.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import { exactNumber } from './pool.ts';
import { readReclassifications } from './reclassifications.ts';
import { inSnapshot } from './snapshot.ts';

const WINDOW = {
  name: 'read-window',
  text: `
  select ${eachCount((column) => `coalesce(counted.${column}, 0) as ${column}`)},
    ${eachCount((column) => `(select coalesce(sum(${column}), 0)::bigint from adjustment where ad_id = $1 and minute = asked.minute) as adjusted_${column}`)},
    coalesce(counted.revision, 0) as revision,
    case when asked.minute < closed_through then 'FINAL'
      when asked.minute < settled_through and not exists (
        select from drift where drift.ad_id = $1 and drift.minute = asked.minute and ended_at is null) then 'SETTLED'
      else 'PROVISIONAL' end as status,
    exists (select from restatement where restatement.ad_id = $1 and restatement.minute = asked.minute
      and restatement.late > 0 and (range_from is null or range_from < asked.minute)) as needs_longer_replay
  from (select to_timestamp($2::bigint) as minute) as asked cross join settlement
    left join ad_minute as counted on counted.ad_id = $1 and counted.minute = asked.minute`,
};

const CHECKPOINTS = {
  name: 'read-audit-checkpoints',
  text: 'select shard, incarnation, floor, arrived_through_ms from shard order by shard',
};

type WindowRow = Record<string, string> & {
  revision: number;
  status: StoredWindow['status'];
  needs_longer_replay: boolean;
};

interface CheckpointRow {
  shard: number;
  incarnation: string;
  floor: string;
  arrived_through_ms: string;
}

/** @param minute first millisecond of the minute window */
export function readWindow(pool: Pool, adId: string, minute: number): Promise<StoredWindow> {
  return inSnapshot(pool, async (client) => {
    const { rows } = await client.query<WindowRow>({ ...WINDOW, values: [adId, minute / 1_000] });
    const [row] = rows;
    if (row === undefined) throw new Error('the table settlement has no row');
    return {
      counts: totals(row, ''),
      adjustments: totals(row, 'adjusted_'),
      status: row.status,
      revision: row.revision,
      needsLongerReplay: row.needs_longer_replay,
      shards: await checkpoints(client),
      reclassifications: await readReclassifications(client),
    };
  });
}

export function readCheckpoints(pool: Pool): Promise<CheckpointedShard[]> {
  return checkpoints(pool);
}

async function checkpoints(client: Pool | PoolClient): Promise<CheckpointedShard[]> {
  const { rows } = await client.query<CheckpointRow>(CHECKPOINTS);
  return rows.map(({ shard, incarnation, floor, arrived_through_ms }) => ({
    shard,
    incarnation,
    floor: exactNumber(floor),
    arrivedThroughMs: exactNumber(arrived_through_ms),
  }));
}

/** Counts of a row whose columns have this prefix. */
export function totals(row: Readonly<Record<string, unknown>>, prefix: string): WindowTotals {
  const sums = COUNT_COLUMNS.map(([name, column]) => [name, BigInt(String(row[`${prefix}${column}`]))]);
  return Object.fromEntries(sums) as WindowTotals;
}
