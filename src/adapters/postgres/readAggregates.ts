/** Counts and checkpoints as of one moment: what is stored, how far it is settled, and what is not stored yet. */
import type { Pool } from 'pg';
import type { StoredAggregates, StoredRow } from '../../domain/aggregates.ts';
import { Buckets } from '../../domain/buckets.ts';
import { isAdDimension } from '../../domain/groups.ts';
import { type Question, takesEveryAd } from '../../domain/question.ts';
import { type RangePart, type Recall, rangeParts, recallNothing } from '../../domain/settledPart.ts';
import { readDiffering, readRestated, readRows } from './aggregateRows.ts';
import { readCheckpoints } from './checkpoints.ts';
import { type AskedPart, recallSettled } from './settledVersion.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

/**
 * @param rowsMax of each kind of row
 * @param recall what remembers the rows of settled minutes; the others are read each time
 */
export function readAggregates(
  pool: Pool,
  question: Question,
  rowsMax: number,
  signal?: AbortSignal,
  recall: Recall = recallNothing,
): Promise<StoredAggregates> {
  return inSnapshot(
    pool,
    async (client) => {
      const settlements = await client.query<SettlementRow>(SETTLEMENT);
      const settlement = toSettlement(settlements.rows[0]);
      const rows: StoredRow[] = [];
      for (const part of rangeParts(question.range, settlement.settledThroughMs)) {
        const read = () => readRows(client, question, part, undefined, rowsMax);
        const asked = askedPart(question, part, rowsMax);
        const found = asked === undefined ? await read() : await recallSettled(client, recall, asked, read);
        for (const row of found) rows.push(row);
      }
      const restated = await readRestated(client, question, undefined, rowsMax);
      const differing = await readDiffering(client, question, undefined, rowsMax);
      const checkpoints = await readCheckpoints(client);
      return { rows, restated, differing, settlement, checkpoints };
    },
    signal,
  );
}

/** undefined: its rows depend on the catalog as it is now, of which no version is known. */
function askedPart(question: Question, part: RangePart, rowsMax: number): AskedPart | undefined {
  const { ads, width, timeZone, groupBy, filters } = question;
  const names = [...groupBy, ...filters.map(({ dimension }) => dimension)];
  if (takesEveryAd(question) && names.some((name) => isAdDimension(name) && name !== 'ad_id'))
    return undefined;
  const catalog = ads?.map(({ ad_id, campaign_id, advertiser_id }) => [ad_id, campaign_id, advertiser_id]);
  // Zones change with the machine's own tables: what a row depends on is where buckets begin.
  const { borders } = new Buckets(part, width, timeZone);
  const wholeMs = width === 'WHOLE' ? question.range.fromMs : undefined;
  return {
    what: ['aggregates', groupBy, filters, borders, wholeMs, rowsMax, catalog],
    adIds: ads?.map(({ ad_id }) => ad_id),
    part,
  };
}
