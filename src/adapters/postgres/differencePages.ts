/**
 * Reads the table `difference` of a recount (recountSession.ts), so many rows at a time. An ad's windows and rollups of a UTC
 * day come together, so that they are mended in one transaction; but for more of them than fit.
 */
import type { QueryResult, QueryResultRow } from 'pg';
import type { Differences, Rollup, RollupDifference, WindowDifference } from '../../domain/difference.ts';
import type { RollupKind } from '../../domain/dimensions.ts';
import type { WindowCounts } from '../../domain/windowCounts.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import { wholeMilliseconds } from './moments.ts';
import { exactNumber } from './pool.ts';
import { DISPOSITION_COLUMNS } from './rollupRows.ts';

const PAGE = `
  select number, rollup, ad_id, ${wholeMilliseconds('minute')} as minute, day::text, kind, value, value2,
    ${eachCount((column) => `before_${column}`)}, ${eachCount((column) => `after_${column}`)}, late, needs_longer_replay, beside
  from difference where (ad_id, day, number) > ($1, $2::timestamptz, $3::bigint) order by ad_id, day, number limit $4`;

/** Counts are texts: wrong ones may be of any size. */
type DifferenceRow = Record<string, string> & {
  rollup: Rollup | null;
  kind: RollupKind | null;
  needs_longer_replay: boolean;
  beside: boolean;
};

export async function* differencePages(
  query: <Row extends QueryResultRow>(text: string, values: unknown[]) => Promise<QueryResult<Row>>,
  most: number,
): AsyncGenerator<Differences> {
  for (let last: (string | undefined)[] = ['', '-infinity', '0']; ; ) {
    const { rows } = await query<DifferenceRow>(PAGE, [...last, most]);
    const page = rows.length < most ? rows : wholeDays(rows);
    if (page.length > 0) yield toDifferences(page);
    if (rows.length < most) return;
    const end = page.at(-1);
    last = [end?.['ad_id'], end?.['day'], end?.['number']];
  }
}

/** Without the last ad and day, of which there may be more; but for one of which there is more than fits. */
function wholeDays(rows: readonly DifferenceRow[]): readonly DifferenceRow[] {
  const end = rows.at(-1);
  const isOther = (row: DifferenceRow) => row['ad_id'] !== end?.['ad_id'] || row['day'] !== end?.['day'];
  const whole = rows.findLastIndex(isOther) + 1;
  return whole === 0 ? rows : rows.slice(0, whole);
}

function toDifferences(rows: readonly DifferenceRow[]): Differences {
  const windows: WindowDifference[] = [];
  const rollups: RollupDifference[] = [];
  for (const row of rows) {
    if (row.rollup === null) windows.push(toWindow(row));
    else rollups.push(toRollup(row, row.rollup));
  }
  return { windows, rollups };
}

function toRollup(row: DifferenceRow, rollup: Rollup): RollupDifference {
  return {
    rollup,
    adId: row['ad_id'] ?? '',
    startMs: exactNumber(row['minute'] ?? ''),
    kind: row.kind ?? undefined,
    value: row['value'] ?? '',
    value2: row['value2'] ?? '',
    before: totals(row, 'before', DISPOSITION_COLUMNS),
    after: totals(row, 'after', DISPOSITION_COLUMNS),
    besideWindows: row.beside,
    needsLongerReplay: row.needs_longer_replay,
  };
}

function toWindow(row: DifferenceRow): WindowDifference {
  return {
    adId: row['ad_id'] ?? '',
    minute: exactNumber(row['minute'] ?? ''),
    before: totals(row, 'before', COUNT_COLUMNS),
    after: totals(row, 'after', COUNT_COLUMNS),
    late: exactNumber(row['late'] ?? ''),
    needsLongerReplay: row.needs_longer_replay,
  };
}

/** The counts of one side of a row whose columns begin with its name. */
export function totals<Name extends keyof WindowCounts>(
  row: Readonly<Record<string, unknown>>,
  side: 'before' | 'after',
  columns: readonly (readonly [name: Name, column: string])[],
): Readonly<Record<Name, bigint>> {
  const entries = columns.map(([name, column]) => [name, BigInt(String(row[`${side}_${column}`]))]);
  return Object.fromEntries(entries) as Record<Name, bigint>;
}
