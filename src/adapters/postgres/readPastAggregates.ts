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
import type { Question } from '../../domain/question.ts';
import { closedThen, readDiffering, readRestated, readRows } from './aggregateRows.ts';
import { milliseconds } from './moments.ts';
import { type SettlementRow, toSettlement } from './settlement.ts';
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

const AS_OF = 'to_timestamp($1::float8 / 1000)';

const SETTLEMENT_THEN = `
  with past as (
    select coalesce(max(through), '-infinity') as settled_through from settled where settled_at <= ${AS_OF}
  )
  select ${milliseconds('settled_through')} as watched, ${milliseconds('settled_through')} as settled,
    ${milliseconds(closedThen(AS_OF))} as closed
  from past`;

/** @param rowsMax of each kind of row */
export async function readPastAggregates(
  pool: Pool,
  asOfMs: number,
  question: Question,
  rowsMax: number,
  signal?: AbortSignal,
): Promise<PastAggregates> {
  for (let look = 1; ; look++) {
    const { rows } = await pool.query<{ now: number; pending: boolean }>(PENDING, [asOfMs]);
    const { now: nowMs = 0, pending = true } = rows[0] ?? {};
    if (asOfMs > nowMs) return { kind: 'future', nowMs };
    if (!pending) break;
    if (look === LOOKS_MAX) return { kind: 'pending' };
    await Bun.sleep(PAUSE_MS);
    signal?.throwIfAborted();
  }
  return inSnapshot(
    pool,
    async (client) => {
      const rows = await readRows(client, question, question.range, asOfMs, rowsMax);
      const restated = await readRestated(client, question, asOfMs, rowsMax);
      const differing = await readDiffering(client, question, asOfMs, rowsMax);
      const settlement = await client.query<SettlementRow>(SETTLEMENT_THEN, [asOfMs]);
      return { kind: 'read', rows, restated, differing, settlement: toSettlement(settlement.rows[0]) };
    },
    signal,
  );
}
