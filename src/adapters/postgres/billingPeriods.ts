/** Closes billing periods, one after the other, each in one transaction (I13), and reads what they hold. */
import type { Pool, PoolClient } from 'pg';
import type { BillingPeriod, CloseOutcome, PeriodSums } from '../../domain/billingPeriod.ts';
import { milliseconds } from './moments.ts';
import { SETTLEMENT, type SettlementRow, toSettlement, withSettlementAlone } from './settlement.ts';

const CLOSED = `select ${milliseconds('closed_at')} as closed_at from billing_period where starts = $1`;

const FIRST_COUNTED = `
  select ${milliseconds('minute')} as minute from ad_minute
  where minute < $1 and (valid, repeat, givt, sivt, defective, test) <> (0, 0, 0, 0, 0, 0)
  order by ad_minute.minute limit 1`;

const DIFFERING = `
  select ad_id, ${milliseconds('minute')} as minute, count(*) over () as windows from drift
  where ended_at is null and minute >= $1 and minute < $2
  order by drift.minute, ad_id limit 1`;

const CLOSE = `
  with closed as (insert into billing_period (starts, ends) values ($1, $2))
  update settlement set closed_through = $2`;

const SUMS = `
  with period as (
    select starts, ends, closed_at from billing_period
    union all
    select closed_through, 'infinity', null from settlement
  )
  select ${milliseconds('starts')} as starts, ${milliseconds('ends')} as ends, ${milliseconds('closed_at')} as closed_at,
    counted.*, adjusted.*
  from period, lateral (
    select coalesce(sum(valid), 0) as valid, coalesce(sum(valid + repeat + givt + sivt), 0) as gross from ad_minute
    where minute >= starts and minute < ends
  ) as counted, lateral (
    select count(*) as adjustments, coalesce(sum(valid), 0) as adjusted_valid,
      coalesce(sum(valid + repeat + givt + sivt), 0) as adjusted_gross
    from adjustment where booked_in = starts
  ) as adjusted
  order by period.starts`;

/** Closes the period, where everything before it is closed and all of it settled. May be tried again after any error. */
export function closePeriod(pool: Pool, period: BillingPeriod): Promise<CloseOutcome> {
  return withSettlementAlone(pool, async (client) => {
    const refused = await whyNot(client, period);
    if (refused !== undefined) return refused;
    await client.query(CLOSE, [new Date(period.startsMs), new Date(period.endsMs)]);
    return { kind: 'closed' };
  });
}

async function whyNot(
  client: PoolClient,
  { startsMs, endsMs }: BillingPeriod,
): Promise<CloseOutcome | undefined> {
  const [starts, ends] = [new Date(startsMs), new Date(endsMs)];
  const { rows: settlements } = await client.query<SettlementRow>(SETTLEMENT);
  const { closedThroughMs, settledThroughMs } = toSettlement(settlements[0]);
  if (startsMs < closedThroughMs) {
    const [closed] = (await client.query<{ closed_at: number }>(CLOSED, [starts])).rows;
    return closed === undefined
      ? { kind: 'early', closedThroughMs }
      : { kind: 'already', closedAtMs: closed.closed_at };
  }
  if (closedThroughMs > -Infinity && startsMs > closedThroughMs)
    return { kind: 'earlierOpen', timeMs: closedThroughMs };
  if (closedThroughMs === -Infinity) {
    const [counted] = (await client.query<{ minute: number }>(FIRST_COUNTED, [starts])).rows;
    if (counted !== undefined) return { kind: 'earlierOpen', timeMs: counted.minute };
  }
  if (settledThroughMs < endsMs) return { kind: 'unsettled', settledThroughMs };
  const [differing] = (
    await client.query<{ ad_id: string; minute: number; windows: string }>(DIFFERING, [starts, ends])
  ).rows;
  if (differing === undefined) return undefined;
  const { ad_id: adId, minute, windows } = differing;
  return { kind: 'differs', windows: Number(windows), adId, minute };
}

type SumsRow = Record<'valid' | 'gross' | 'adjustments' | 'adjusted_valid' | 'adjusted_gross', string> & {
  readonly starts: number;
  readonly ends: number;
  readonly closed_at: number | null;
};

/** Closed periods and the open one, by time, as of one moment. */
export async function readPeriods(pool: Pool): Promise<PeriodSums[]> {
  const { rows } = await pool.query<SumsRow>(SUMS);
  return rows.map((row) => ({
    startsMs: row.starts === -Infinity ? undefined : row.starts,
    closed: row.closed_at === null ? undefined : { endsMs: row.ends, atMs: row.closed_at },
    valid: BigInt(row.valid),
    gross: BigInt(row.gross),
    adjustments: Number(row.adjustments),
    adjustedValid: BigInt(row.adjusted_valid),
    adjustedGross: BigInt(row.adjusted_gross),
  }));
}
