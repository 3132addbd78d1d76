/**
 * The part of a recount's comparison that is about rollups, as of the same moment (recountSession.ts). What differs goes
 * into the table `difference`, beside the windows that do.
 *
 * Sums of what is stored are held against what is stored: a window that differs, and its sums with it, is one
 * difference. What divides clicks by dimensions is held against the recount. Rows that lie in the selected range with a
 * part alone are compared where a window of theirs differs, or where the range has no end.
 */
import type { Rollup } from '../../domain/difference.ts';
import { QUARTER_MS } from '../../domain/dimensions.ts';
import { quartersOf, type WindowSelection } from '../../domain/recount.ts';
import { MINUTE_MS } from '../../domain/windowCounts.ts';
import { binned, eachDisposition } from './rollupRows.ts';

/** A table that holds sums of the rows of another one. */
interface SummedRollup {
  readonly rollup: Rollup;
  readonly time: string;
  /** Its columns but the shard, the ad, the time and the counts. */
  readonly keys: readonly string[];
  readonly width: Parameters<typeof binned>[0];
  readonly widthMs: number;
  readonly of: { readonly table: string; readonly time: string };
}

const MINUTES = { table: 'ad_minute', time: 'minute' };
const BY_AD: readonly SummedRollup[] = [
  { rollup: 'ad_hour', time: 'hour', keys: [], width: '1 hour', widthMs: 3_600_000, of: MINUTES },
  { rollup: 'ad_day', time: 'day', keys: [], width: '1 day', widthMs: 86_400_000, of: MINUTES },
];
const SHARD_MINUTES: SummedRollup = {
  rollup: 'shard_minute',
  time: 'minute',
  keys: [],
  width: '1 minute',
  widthMs: MINUTE_MS,
  of: MINUTES,
};
const SHARD_DIMENSIONS: SummedRollup = {
  rollup: 'shard_dimension',
  time: 'quarter',
  keys: ['kind', 'value', 'value2'],
  width: '15 minutes',
  widthMs: QUARTER_MS,
  of: { table: 'ad_dimension', time: 'quarter' },
};

export interface Comparison {
  readonly text: string;
  readonly values: readonly unknown[];
}

const COUNTS = eachDisposition((column) => column);
const BEFORE = eachDisposition((column) => `before_${column}`);
const AFTER = eachDisposition((column) => `after_${column}`);
/** What a row of either side brings to both. */
const STORED = `${eachDisposition((column) => `${column} as before_${column}`)}, ${eachDisposition((column) => `0 as after_${column}`)}`;
const EXPECTED = `${eachDisposition(() => '0')}, ${COUNTS}`;
const SUMMED = `${eachDisposition((column) => `sum(before_${column}) as before_${column}`)},
      ${eachDisposition((column) => `sum(after_${column}) as after_${column}`)}`;
const DIFFERS = `(${BEFORE}) <> (${AFTER})`;
const COUNTED =
  'select (select count(*) from compared) as rollups, (select count(*) from found) as differing';

/** @param withDimensions whether the recount has counted them */
export function rollupComparisons(selection: WindowSelection, withDimensions: boolean): Comparison[] {
  const ads = selection.adIds === undefined ? undefined : [...selection.adIds];
  const within = ({ widthMs }: SummedRollup) => secondsOf(rowsInside(selection, widthMs));
  // Of some ads alone nothing can be said of all together.
  const ofAll = (rollup: SummedRollup): Comparison[] =>
    ads === undefined ? [{ text: shardSums(rollup), values: within(rollup) }] : [];
  return [
    ...BY_AD.map((rollup) => ({ text: adSums(rollup), values: [...within(rollup), ads] })),
    ...ofAll(SHARD_MINUTES),
    ...(withDimensions ? [{ text: DIMENSIONS, values: dimensionValues(selection, ads) }] : []),
    ...(withDimensions ? ofAll(SHARD_DIMENSIONS) : []),
  ];
}

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

function secondsOf({ fromMs, toMs }: Range): number[] {
  return [fromMs / 1000, toMs / 1000];
}

/** A range without an end goes on where another one ended: the row in which that was is compared, too. */
function rowsInside({ fromMs = -Infinity, toMs }: WindowSelection, widthMs: number): Range {
  const whole = toMs === undefined ? Math.floor : Math.ceil;
  return {
    fromMs: whole(fromMs / widthMs) * widthMs,
    toMs: Math.floor((toMs ?? Infinity) / widthMs) * widthMs,
  };
}

/** @param column of the table that is read */
function isInside(column: string): string {
  return `${column} >= to_timestamp($1::float8) and ${column} < to_timestamp($2::float8)`;
}

const IS_ASKED = '($3::text[] is null or ad_id = any($3))';

function adSums({ rollup, time, width, of }: SummedRollup): string {
  return `
  with beyond as materialized (
    select distinct ad_id, ${binned(width, 'minute')} as starts from difference
    where rollup is null and not (${isInside(binned(width, 'minute'))})
  ), compared as (
    select ad_id, starts, ${SUMMED} from (
      select ad_id, ${time} as starts, ${STORED} from ${rollup} where ${isInside(time)} and ${IS_ASKED}
      union all
      select ad_id, ${binned(width, of.time)}, ${EXPECTED} from ${of.table} where ${isInside(of.time)} and ${IS_ASKED}
      union all
      select ad_id, starts, ${STORED} from beyond join ${rollup} using (ad_id) where ${time} = starts
      union all
      select ad_id, starts, ${EXPECTED} from beyond join ${of.table} as part using (ad_id)
      where part.${of.time} >= starts and part.${of.time} < starts + interval '${width}') as side
    group by ad_id, starts
  ), found as (
    insert into difference (rollup, ad_id, minute, value, value2, ${BEFORE}, ${AFTER}, needs_longer_replay, beside)
    select '${rollup}', ad_id, starts, '', '', ${BEFORE}, ${AFTER}, false, false from compared where ${DIFFERS}
    order by ad_id, starts
    returning number
  )
  ${COUNTED}`;
}

function shardSums({ rollup, time, width, keys, of }: SummedRollup): string {
  const group = [time, ...keys].join(', ');
  return `
  with compared as (
    select ${group}, ${SUMMED} from (
      select ${group}, ${STORED} from ${rollup} where ${isInside(time)}
      union all
      select ${[binned(width, of.time), ...keys].join(', ')}, ${EXPECTED} from ${of.table} where ${isInside(of.time)}) as side
    group by ${group}
  ), found as (
    insert into difference (rollup, ad_id, minute, kind, value, value2, ${BEFORE}, ${AFTER}, needs_longer_replay, beside)
    select '${rollup}', '', ${time}, ${keys.length === 0 ? `null, '', ''` : keys.join(', ')}, ${BEFORE}, ${AFTER}, false, false
    from compared where ${DIFFERS}
    order by ${group}
    returning number
  )
  ${COUNTED}`;
}

// Final rows do not move: where something of a closed period is booked beside its windows, or will be now, its rollups
// are those of what was there before, and the streams do not say that.
const DIMENSIONS = `
  with windows as materialized (
    select distinct ad_id, ${binned('15 minutes', 'minute')} as quarter from difference where rollup is null
  ), adjusted as materialized (
    select distinct ad_id, ${binned('15 minutes', 'minute')} as quarter from adjustment where ${isInside('minute')}
  ), longer as materialized (
    select distinct ad_id, ${binned('15 minutes', 'minute')} as quarter from restatement
    where late > 0 and ${isInside('minute')} and $6::bigint is not null
      and (range_from is null or range_from < to_timestamp($6::bigint))
  ), compared as (
    select ad_id, kind, quarter, value, value2, ${SUMMED} from (
      select ad_id, kind, quarter, value, value2, ${STORED} from ad_dimension where ${isInside('quarter')} and ${IS_ASKED}
      union all
      select ad_id, kind, quarter, value, value2, ${EXPECTED} from recount_dimension) as side
    group by ad_id, kind, quarter, value, value2
  ), found as (
    insert into difference (rollup, ad_id, minute, kind, value, value2, ${BEFORE}, ${AFTER}, needs_longer_replay, beside)
    select 'ad_dimension', ad_id, quarter, kind, value, value2, ${BEFORE}, ${AFTER}, longer.ad_id is not null,
      windows.ad_id is not null
    from compared left join windows using (ad_id, quarter) left join adjusted using (ad_id, quarter)
      left join longer using (ad_id, quarter) cross join settlement
    where ${DIFFERS}
      and (windows.ad_id is not null or quarter >= to_timestamp($4::float8) and quarter < to_timestamp($5::float8))
      and (quarter >= closed_through or windows.ad_id is null and adjusted.ad_id is null)
    order by ad_id, quarter, kind, value, value2
    returning number
  )
  ${COUNTED}`;

function dimensionValues(selection: WindowSelection, ads: readonly string[] | undefined): unknown[] {
  const { fromMs } = selection;
  const inside = secondsOf(rowsInside(selection, QUARTER_MS));
  return [
    ...secondsOf(quartersOf(selection)),
    ads,
    ...inside,
    fromMs === undefined ? undefined : fromMs / 1000,
  ];
}
