/**
 * Counts as they stood at a moment: those of now without what was restated since. Of minutes that were settled then
 * nothing else has changed (I13).
 *
 * The answer must be the same for ever, so no change may be missing that was written before the moment and is committed
 * after the reading. Whoever changes settled minutes, settles or closes holds a lock on `settlement` from before it
 * takes its time until it is committed. So the reading waits until nobody holds one who began before the moment.
 */
import type { Pool } from 'pg';
import type { PastAggregates } from '../../domain/aggregates.ts';
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
import { milliseconds, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

const PAUSE_MS = 50;
/** A flush takes milliseconds; after a second it is somebody else's turn to wait. */
const LOOKS_MAX = 20;

// Transactions of others whose beginning this user may not see may have begun at any time.
const PENDING = `
  select ${milliseconds('statement_timestamp()')} as now, exists (
    select from pg_locks join pg_stat_activity using (pid)
    where database = (select oid from pg_database where datname = current_database())
      and relation = 'settlement'::regclass and granted and mode <> 'AccessShareLock'
      and coalesce(xact_start <= to_timestamp($1::float8 / 1000), true)) as pending`;

const COLUMNS = ['valid', 'repeat', 'givt', 'sivt', 'defective', 'test'];
const eachColumn = (sql: (column: string) => string) => COLUMNS.map(sql).join(', ');

const AS_OF = 'to_timestamp($6::float8 / 1000)';

// What is zero and was never restated then has come since.
const ROWS = {
  name: 'read-past-aggregates',
  text: `
  select ad_id, ${wholeMilliseconds(BUCKET)} as bucket, ${eachColumn((column) => `sum(${column})::bigint as ${column}`)},
    sum(revision) as revision
  from (
    select ad_id, minute, ${eachColumn((column) => column)}, revision from ad_minute where ${IN_RANGE}
    union all
    select ad_id, minute, ${eachColumn((column) => `before_${column} - after_${column}`)}, -1 from restatement
    where ${IN_RANGE} and booked_in is null and applied_at > ${AS_OF}
  ) as part
  group by 1, 2
  having (${eachColumn((column) => `sum(${column})`)}, sum(revision)) <> (0, 0, 0, 0, 0, 0, 0)
  limit $5`,
};

const CLOSED_THEN = `coalesce((select max(ends) from billing_period where closed_at <= ${AS_OF}), '-infinity')`;

const DIFFERING = {
  name: 'read-past-differing',
  text: differingBuckets(
    `found_at <= ${AS_OF} and (ended_at is null or ended_at > ${AS_OF}) and minute >= ${CLOSED_THEN}`,
  ),
};

const SETTLEMENT_THEN = `
  with past as (
    select coalesce(max(through), '-infinity') as settled_through from settled where settled_at <= ${AS_OF}
  )
  select ${milliseconds('settled_through')} as watched, ${milliseconds('settled_through')} as settled,
    ${milliseconds(CLOSED_THEN)} as closed
  from past`.replaceAll('$6', '$1');

/** @param range half-open, on whole minutes, milliseconds since the Unix epoch */
export async function readPastAggregates(
  pool: Pool,
  asOfMs: number,
  adIds: readonly string[],
  range: { readonly fromMs: number; readonly toMs: number },
  granularity: Granularity,
  rowsMax: number,
): Promise<PastAggregates> {
  for (let look = 1; ; look++) {
    const { rows } = await pool.query<{ now: number; pending: boolean }>(PENDING, [asOfMs]);
    const { now: nowMs = 0, pending = true } = rows[0] ?? {};
    if (asOfMs > nowMs) return { kind: 'future', nowMs };
    if (!pending) break;
    if (look === LOOKS_MAX) return { kind: 'pending' };
    await Bun.sleep(PAUSE_MS);
  }
  const asked = [adIds, range.fromMs / 1000, range.toMs / 1000, granularity.toLowerCase(), rowsMax];
  const values = [...asked, asOfMs];
  return inSnapshot(pool, async (client) => {
    const counted = await client.query<CountRow>({ ...ROWS, values });
    const differing = await client.query<DifferingRow>({ ...DIFFERING, values });
    const settlement = await client.query<SettlementRow>(SETTLEMENT_THEN, [asOfMs]);
    return {
      kind: 'read',
      rows: counted.rows.map(toStoredRow),
      differing: differing.rows.map(toDifferingBucket),
      settlement: toSettlement(settlement.rows[0]),
    };
  });
}
