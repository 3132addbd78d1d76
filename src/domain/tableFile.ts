/** Rows that are written to a file as a table, in some format: which columns it has, and who makes bytes of them. */

/**
 * What a column holds, and so what its cells are:
 * - `text`: a string
 * - `integer`: a whole number below 2^53
 * - `ratio`: a number; undefined where there is none
 * - `time`: a moment of UTC, milliseconds since the Unix epoch
 */
export type ColumnKind = 'text' | 'integer' | 'ratio' | 'time';

export interface TableColumn<Row> {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly cell: (row: Row) => string | number | undefined;
}

/** Makes one file of rows. What it gives belongs to the file in this order; it keeps no more than one portion of rows. */
export interface TableWriter<Row> {
  /** What comes before all rows. */
  begin(): Uint8Array;
  add(rows: readonly Row[]): Uint8Array;
  /** What comes after all rows. */
  end(): Uint8Array;
}

export type TableFormat = <Row>(columns: readonly TableColumn<Row>[]) => TableWriter<Row>;
