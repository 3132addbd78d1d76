/**
 * The groups of a question that have most of a count, and all together, as of one moment. All ads are ranked through the
 * days' indexes (domain/rankingByDay.ts): by clicks through that of clicks, by other counts through that of everything
 * received, of which no count has more. Everything else is summed and sorted.
 */
import type { Pool, PoolClient } from 'pg';
import {
  type Count,
  countOf,
  DISPOSITIONS_OF,
  type RankedValue,
  type Ranking,
  type TopAggregates,
} from '../../domain/ranking.ts';
import { DEPTHS, isDecided } from '../../domain/rankingByDay.ts';
import type { TimeRange } from '../../domain/timeRange.ts';
import { emptyDispositions } from '../../domain/windowCounts.ts';
import { type DispositionTexts, readDiffering, readRows, toDispositions } from './aggregateRows.ts';
import { readCheckpoints } from './checkpoints.ts';
import { countedParts, within } from './countedParts.ts';
import { groupingOf } from './groupedRows.ts';
import { Parameters } from './parameters.ts';
import { exactNumber } from './pool.ts';
import { DISPOSITION_COLUMNS, eachDisposition } from './rollupRows.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

const DAY_MS = 86_400_000;
/** Lists of more days are dearer to look into than to sum up. */
const DAYS_MAX = 62;

export function readTop(pool: Pool, ranking: Ranking, signal?: AbortSignal): Promise<TopAggregates> {
  return inSnapshot(
    pool,
    async (client) => {
      const found = (await readTopByDays(client, ranking)) ?? (await readTopOfAll(client, ranking));
      const [differing] = await readDiffering(client, { ...ranking.question, groupBy: [] }, undefined, 1);
      const settlement = await client.query<SettlementRow>(SETTLEMENT);
      const checkpoints = await readCheckpoints(client);
      return { ...found, differing, settlement: toSettlement(settlement.rows[0]), checkpoints };
    },
    signal,
  );
}

type Top = Pick<TopAggregates, 'entries' | 'total'>;

async function readTopOfAll(client: PoolClient, { question, count, most }: Ranking): Promise<Top> {
  const parameters = new Parameters();
  const parts = countedParts(question, question.range, undefined, parameters);
  const { group, from } = groupingOf(question, question.groupBy, parameters);
  const ranked = DISPOSITIONS_OF[count].join(' + ');
  const sums = eachDisposition((column) => `coalesce(sum(${column}), 0)::bigint as ${column}`);
  // The row of all together has no value.
  const text = `
  with counted as materialized (
    select (${group})[1] as value, ${sums} from (${parts}) as part ${from} group by 1
  )
  (select null as value, ${sums} from counted)
  union all
  (select value, ${eachDisposition((column) => column)} from counted where ${ranked} > 0
   order by ${ranked} desc, value collate "C" limit ${parameters.add(most)})`;
  const { rows } = await client.query<DispositionTexts & { value: string | null }>(text, parameters.values);
  const entries: RankedValue[] = [];
  let total = emptyDispositions();
  for (const { value, ...counts } of rows) {
    if (value === null) total = toDispositions(counts);
    else entries.push({ value, ...toDispositions(counts) });
  }
  return { entries, total };
}

/** undefined: the question is not of that kind, or the ads are so alike that the first ones do not decide. */
async function readTopByDays(
  client: PoolClient,
  { question, count, most }: Ranking,
): Promise<Top | undefined> {
  const { ads, groupBy, filters, range } = question;
  const isOfAllAds = ads === undefined && groupBy[0] === 'ad_id' && filters.length === 0;
  const isShort = range.toMs - range.fromMs <= DAYS_MAX * DAY_MS;
  if (!isOfAllAds || !isShort) return undefined;
  const days = daysOf(range);
  for (const depth of DEPTHS) {
    const { adIds, lasts } = await readFirsts(client, days, boundOf(count), Math.max(depth, most));
    const found = adIds.map((ad_id) => ({ ad_id, campaign_id: '', advertiser_id: '' }));
    const sums = await readRows(client, { ...question, ads: found }, range, undefined, found.length);
    const entries = sums.map(({ group: [value = ''], bucketMs: _, ...counts }) => ({ value, ...counts }));
    entries.sort(
      (left, right) =>
        countOf(right, count) - countOf(left, count) ||
        Buffer.compare(Buffer.from(left.value), Buffer.from(right.value)),
    );
    const values = entries.map((entry) => countOf(entry, count));
    if (isDecided(values, most, lasts)) {
      const [total] = await readRows(client, { ...question, groupBy: [] }, range, undefined, 1);
      const top = entries.slice(0, most).filter((entry) => countOf(entry, count) > 0);
      return { entries: top, total: total ?? emptyDispositions() };
    }
  }
  return undefined;
}

/** The SQL, as it is in an index of each day, of what an ad has at least as much of as of the count. */
function boundOf(count: Count): string {
  return count === 'clicks' ? 'valid' : DISPOSITION_COLUMNS.map(([, column]) => column).join(' + ');
}

/** First milliseconds of the UTC days that the range touches: of such a day an ad has at most what it has of all of it. */
function daysOf({ fromMs, toMs }: TimeRange): number[] {
  const days: number[] = [];
  for (let day = Math.floor(fromMs / DAY_MS) * DAY_MS; day < toMs; day += DAY_MS) days.push(day);
  return days;
}

interface Firsts {
  /** Of any of the days. */
  readonly adIds: readonly string[];
  /** What the last one of each day has at most of the count; 0 where it is the last of all. */
  readonly lasts: readonly number[];
}

async function readFirsts(
  client: PoolClient,
  days: readonly number[],
  bound: string,
  depth: number,
): Promise<Firsts> {
  const adIds = new Set<string>();
  const lasts: number[] = [];
  for (const dayMs of days) {
    const parameters = new Parameters();
    const ofDay = within('day', { fromMs: dayMs, toMs: dayMs + DAY_MS }, parameters);
    const text = `select ad_id, ${bound} as bound from ad_day where ${ofDay} order by ${bound} desc limit ${parameters.add(depth)}`;
    const { rows } = await client.query<{ ad_id: string; bound: string }>(text, parameters.values);
    for (const { ad_id } of rows) adIds.add(ad_id);
    lasts.push(rows.length < depth ? 0 : exactNumber(rows.at(-1)?.bound ?? '0'));
  }
  return { adIds: [...adIds], lasts };
}
