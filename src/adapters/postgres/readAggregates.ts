/** Counts and checkpoints as of one moment: what is stored, how far it is settled, and what is not stored yet. */
import type { Pool } from 'pg';
import type { StoredAggregates } from '../../domain/aggregates.ts';
import type { Question } from '../../domain/question.ts';
import { readDiffering, readRestated, readRows } from './aggregateRows.ts';
import { readCheckpoints } from './checkpoints.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

/** @param rowsMax of each kind of row */
export function readAggregates(
  pool: Pool,
  question: Question,
  rowsMax: number,
  signal?: AbortSignal,
): Promise<StoredAggregates> {
  return inSnapshot(
    pool,
    async (client) => {
      const rows = await readRows(client, question, question.range, undefined, rowsMax);
      const restated = await readRestated(client, question, undefined, rowsMax);
      const differing = await readDiffering(client, question, undefined, rowsMax);
      const settlement = await client.query<SettlementRow>(SETTLEMENT);
      const checkpoints = await readCheckpoints(client);
      return { rows, restated, differing, settlement: toSettlement(settlement.rows[0]), checkpoints };
    },
    signal,
  );
}
