/** Tables without lines, two blanks between columns: many columns stay narrow, and `awk` can read them. Pure. */
import Table from 'cli-table3';
import { styled } from './terminal.ts';

export interface PlainColumn {
  readonly head: string;
  readonly align: 'left' | 'right';
}

const NO_BORDERS = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
  ]
    .map((place) => [place, ''])
    .concat([['middle', '  ']]),
);

/** @param rows a cell a column */
export function renderPlainTable(
  columns: readonly PlainColumn[],
  rows: readonly (readonly string[])[],
): string {
  const table = new Table({
    head: columns.map(({ head }) => styled('bold', head)),
    colAligns: columns.map(({ align }) => align),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    chars: NO_BORDERS,
  });
  for (const row of rows) table.push([...row]);
  // The last column is filled up too, and lines that wrap for blanks alone look broken.
  return table.toString().replaceAll(/ +$/gm, '');
}
