/** Rows of zeros where nothing was counted, if they are asked for. Pure. */
import { Buckets } from '../domain/buckets.ts';
import { isAdDimension, passes } from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import { emptyDispositions } from '../domain/windowCounts.ts';
import type { AskedAggregates } from './askedAggregates.ts';
import type { MergedAggregates, MergedRow } from './mergedAggregates.ts';
import { RowMarks, rowKey } from './rowMarks.ts';

/**
 * All rows, and one of zeros for every bucket of every group that has none.
 * @returns undefined: they would be more than `rowsMax`
 */
export function fillRows(
  merged: MergedAggregates,
  question: Question,
  asked: AskedAggregates,
  rowsMax: number,
): MergedRow[] | undefined {
  const { range, width, timeZone } = question;
  const starts = [...new Buckets(range, width, timeZone).starts()];
  const groups = groupsOf(merged, question, asked);
  if (starts.length * groups.size > rowsMax) return undefined;
  const marks = new RowMarks(merged, question);
  const found = new Map(merged.rows.map((row) => [rowKey(row.group, row.bucketMs), row]));
  const rows: MergedRow[] = [];
  for (const group of groups.values()) {
    for (const bucketMs of starts) {
      const row = found.get(rowKey(group, bucketMs));
      rows.push(row ?? { group, bucketMs, ...emptyDispositions(), ...marks.of(group, bucketMs) });
    }
  }
  return rows;
}

function groupsOf(
  { rows }: MergedAggregates,
  { ads, groupBy }: Question,
  { selection, filters }: AskedAggregates,
): Map<string, readonly string[]> {
  const groups = new Map<string, readonly string[]>();
  const add = (group: readonly string[]) => groups.set(rowKey(group, 0), group);
  if (groupBy.length === 0) add([]);
  for (const { group } of rows) add(group);
  // Also a campaign that has no ads.
  if (selection !== undefined && groupBy.length === 1 && groupBy[0] === selection.by) {
    const { by, ids } = selection;
    for (const id of ids) if (passes(filters, by, id)) add([id]);
  } else if (groupBy.every(isAdDimension)) {
    for (const ad of ads ?? []) add(groupBy.map((dimension) => ad[dimension]));
  }
  return groups;
}
