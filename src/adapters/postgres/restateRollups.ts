/**
 * Pieces of SQL with which a restatement mends rollups beside the windows that it restates, and writes each row down. They
 * follow on CTEs `held`, `moved` and `raised` (restate.ts), and `rolledUp` follows on them.
 */
import type { RollupDifference } from '../../domain/difference.ts';
import { numberArray, textArray } from './arrayLiteral.ts';
import { DISPOSITION_COLUMNS, eachDisposition } from './rollupRows.ts';
import { AFTER_RAISED } from './settledVersion.ts';

const BEFORE = eachDisposition((column) => `before_${column}`);
const AFTER = eachDisposition((column) => `after_${column}`);

/**
 * A row that differs together with windows of a period that was closed meanwhile stays: what differs in final windows is
 * booked beside them, and moves no rollup.
 * @param first the number of the first of its parameters
 */
export function mends(first: number): string {
  const parameter = (index: number, type: string) => `$${first + index}::${type}[]`;
  return `
  mends as (
    select rollup, ad_id, to_timestamp(seconds) as starts, kind, value, value2, ${BEFORE}, ${AFTER},
      ${eachDisposition((column) => `after_${column} - before_${column} as ${column}`)}
    from unnest(${parameter(0, 'text')}, ${parameter(1, 'text')}, ${parameter(2, 'bigint')}, ${parameter(3, 'smallint')},
        ${parameter(4, 'text')}, ${parameter(5, 'text')}, ${parameter(6, 'boolean')},
        ${eachDisposition((_, index) => parameter(7 + index, 'numeric'))},
        ${eachDisposition((_, index) => parameter(13 + index, 'numeric'))})
      as row (rollup, ad_id, seconds, kind, value, value2, beside, ${BEFORE}, ${AFTER})
      cross join held
    where exists (select from moved) and ${AFTER_RAISED} and not (beside and to_timestamp(seconds) < closed_through)
  ), rollup as (
    select ad_id, kind, starts as quarter, value, value2, ${eachDisposition((column) => column)}
    from mends where rollup = 'ad_dimension'
  ), written_down as (
    insert into rollup_restatement (run, rollup, ad_id, starts, kind, value, value2, ${BEFORE}, ${AFTER})
    select $1, rollup, ad_id, starts, kind, value, value2, ${BEFORE}, ${AFTER} from mends
  )`;
}

/** The parameters of `mends`, in their order. */
export function mendsParameters(rollups: readonly RollupDifference[]): unknown[] {
  return [
    rollups.map(({ rollup }) => rollup),
    textArray(rollups.map(({ adId }) => adId)),
    numberArray(rollups.map(({ startMs }) => startMs / 1000)),
    rollups.map(({ kind }) => kind),
    textArray(rollups.map(({ value }) => value)),
    textArray(rollups.map(({ value2 }) => value2)),
    rollups.map(({ besideWindows }) => besideWindows),
    ...DISPOSITION_COLUMNS.map(([name]) => rollups.map(({ before }) => before[name])),
    ...DISPOSITION_COLUMNS.map(([name]) => rollups.map(({ after }) => after[name])),
  ];
}
