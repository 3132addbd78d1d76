/** The columns of an exported file: named as in the answers of QueryAggregates. */
import type { StoredRow } from '../domain/aggregates.ts';
import type { GroupDimension } from '../domain/groups.ts';
import type { RowStatus } from '../domain/settlement.ts';
import type { TableColumn } from '../domain/tableFile.ts';
import { METRICS, type Metric, metricOf, RATES } from './rowOrder.ts';

export interface ExportedRow extends StoredRow {
  /** Cut to the range. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly status: RowStatus;
  readonly revision: number;
}

/** Each time twice: for people and for programs. */
export function exportColumns(
  groupBy: readonly GroupDimension[],
  chosen: ReadonlySet<Metric>,
): readonly TableColumn<ExportedRow>[] {
  return [
    ...groupBy.map((name, place): TableColumn<ExportedRow> => {
      return { name, kind: 'text', cell: ({ group }) => group[place] ?? '' };
    }),
    { name: 'from_time', kind: 'time', cell: ({ fromMs }) => fromMs },
    { name: 'to_time', kind: 'time', cell: ({ toMs }) => toMs },
    { name: 'from_ms', kind: 'integer', cell: ({ fromMs }) => fromMs },
    { name: 'to_ms', kind: 'integer', cell: ({ toMs }) => toMs },
    ...METRICS.filter((metric) => chosen.has(metric)).map((metric): TableColumn<ExportedRow> => {
      const isRate = RATES.some((rate) => rate === metric);
      return { name: metric, kind: isRate ? 'ratio' : 'integer', cell: (row) => metricOf(row, metric) };
    }),
    { name: 'status', kind: 'text', cell: ({ status }) => status },
    { name: 'revision', kind: 'integer', cell: ({ revision }) => revision },
  ];
}
