/**
 * Which stored minutes of followed ads may have changed since the reading before, without a column or an index for it:
 * every version of a row carries the number of the transaction that wrote it (xmin). What this snapshot sees and the one
 * before did not was written by a transaction that was under way then, or came later; so its number is no less than
 * the least that was under way. Numbers are compared modulo 2^32, as PostgreSQL does: a row that was written 2^31
 * transactions ago may be taken for a new one, which costs a comparison, and none that changed is missed.
 *
 * Nothing is searched where nothing has moved: flushes move a floor, restatements the fence of their run.
 */
import type { Pool } from 'pg';
import type {
  AskedAd,
  ChangedRows,
  ChangeMark,
  ChangesAsked,
  StoredMinute,
} from '../../domain/changedRows.ts';
import { numberArray } from './arrayLiteral.ts';
import { readCheckpoints } from './checkpoints.ts';
import { wholeMilliseconds } from './moments.ts';
import { exactNumber } from './pool.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';
import { inSnapshot } from './snapshot.ts';

const MARK = {
  name: 'read-change-mark',
  text: `
  select (pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295)::text as transaction,
    (select run || '.' || chunk from reconcile_run) as run,
    (select string_agg(shard || ' ' || floor, ',' order by shard) from shard) as floors`,
};

const MINUTE_IN_MS = wholeMilliseconds('minute');

const COUNTS = ['valid', 'repeat', 'givt', 'sivt', 'defective', 'test', 'revision'] as const;
const COLUMNS = COUNTS.join(', ');

type CountRow = Record<(typeof COUNTS)[number], string> & { ad_id: string; minute: string };

/** A nested loop over the ads, each by the primary key: `offset 0` keeps the planner from reading all ads' minutes. */
function rowsOf(condition: string): string {
  return `
  select asked.ad_id, ${MINUTE_IN_MS} as minute, ${COLUMNS}
  from unnest($1::text[], $2::bigint[]) as asked (ad_id, since) cross join lateral (
    select minute, ${COLUMNS} from ad_minute
    where ad_id = asked.ad_id and minute >= to_timestamp(asked.since) and ${condition}
    offset 0) as counted`;
}

const ALL = { name: 'read-followed', text: rowsOf('true') };
const CHANGED = {
  name: 'read-changed',
  text: rowsOf('((xmin::text::bigint - $3::bigint) & 4294967295) < 2147483648'),
};

const DIFFERING = {
  name: 'read-followed-differing',
  text: `
  select ad_id, ${MINUTE_IN_MS} as minute
  from drift
  where ended_at is null and ad_id = any($1) and minute >= (select closed_through from settlement)`,
};

export function readChanges(pool: Pool, { fresh, known, mark }: ChangesAsked): Promise<ChangedRows> {
  return inSnapshot(pool, async (client) => {
    const read = async (
      statement: { name: string; text: string },
      ads: readonly AskedAd[],
      since?: number,
    ) => {
      if (ads.length === 0) return [];
      const values = [ads.map(({ adId }) => adId), numberArray(ads.map(({ fromMs }) => fromMs / 1000))];
      const { rows } = await client.query<CountRow>({
        ...statement,
        values: since === undefined ? values : [...values, since],
      });
      return rows.map(toMinute);
    };
    const found = await client.query<{ transaction: string; run: string; floors: string | null }>(MARK);
    const settlement = await client.query<SettlementRow>(SETTLEMENT);
    const checkpoints = await readCheckpoints(client);
    const ads = [...fresh, ...known].map(({ adId }) => adId);
    const differing = await client.query<Pick<CountRow, 'ad_id' | 'minute'>>({ ...DIFFERING, values: [ads] });
    const next = markOf(
      found.rows[0],
      checkpoints.map(({ floor }) => floor),
    );
    const rows: StoredMinute[] = await read(ALL, fresh);
    if (next.counted !== mark.counted) {
      for (const row of await read(CHANGED, known, mark.transaction)) rows.push(row);
    }
    return {
      rows,
      checkpoints,
      differing: differing.rows.map(({ ad_id: adId, minute }) => ({ adId, minute: exactNumber(minute) })),
      settlement: toSettlement(settlement.rows[0]),
      mark: next,
      isSetBack: mark.floors.some((floor, place) => floor > (next.floors[place] ?? 0)),
    };
  });
}

function markOf(
  row: { readonly transaction: string; readonly run: string; readonly floors: string | null } | undefined,
  floors: readonly number[],
): ChangeMark {
  if (row === undefined) throw new Error('the table reconcile_run has no row');
  return { transaction: exactNumber(row.transaction), counted: `${row.run} ${row.floors ?? ''}`, floors };
}

function toMinute({ ad_id: adId, minute, ...counts }: CountRow): StoredMinute {
  const numbers = COUNTS.map((name) => [name, exactNumber(counts[name])] as const);
  return {
    adId,
    minute: exactNumber(minute),
    ...(Object.fromEntries(numbers) as Record<(typeof COUNTS)[number], number>),
  };
}
