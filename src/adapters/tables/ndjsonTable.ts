/** Tables as a JSON object a line. Times are ISO 8601 of UTC; what is absent has no field. */
import type { TableColumn, TableWriter } from '../../domain/tableFile.ts';

export function ndjsonTable<Row>(columns: readonly TableColumn<Row>[]): TableWriter<Row> {
  const lineOf = (row: Row) =>
    `${JSON.stringify(Object.fromEntries(columns.map((column) => [column.name, cellOf(column, row)])))}\n`;
  return {
    begin: () => Buffer.alloc(0),
    add: (rows) => Buffer.from(rows.map(lineOf).join('')),
    end: () => Buffer.alloc(0),
  };
}

function cellOf<Row>({ kind, cell }: TableColumn<Row>, row: Row): string | number | undefined {
  const value = cell(row);
  return value !== undefined && kind === 'time' ? new Date(value).toISOString() : value;
}
