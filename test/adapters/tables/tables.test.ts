/** Tables in every format, read back by programs of others: whatever the texts are, every cell is as it was. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { csvTable } from '../../../src/adapters/tables/csvTable.ts';
import { ndjsonTable } from '../../../src/adapters/tables/ndjsonTable.ts';
import { parquetTable } from '../../../src/adapters/tables/parquetTable.ts';
import type { TableColumn, TableFormat } from '../../../src/domain/tableFile.ts';
import { testFolder } from '../../cli/stack/testFolder.ts';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly share: number | undefined;
  readonly atMs: number;
}

const COLUMNS: readonly TableColumn<Row>[] = [
  { name: 'name', kind: 'text', cell: ({ name }) => name },
  { name: 'count', kind: 'integer', cell: ({ count }) => count },
  { name: 'share', kind: 'ratio', cell: ({ share }) => share },
  { name: 'at', kind: 'time', cell: ({ atMs }) => atMs },
];

const NAMES = ['plain', 'a,b', 'say "hi"', 'two\r\nlines', '=1+1', 'ñ, 廣告 🙂', ' spaces ', "it's", ''];
const ROWS: readonly Row[] = NAMES.map((name, index) => ({
  name,
  count: index === 0 ? Number.MAX_SAFE_INTEGER : index,
  share: index % 2 === 0 ? undefined : 1 / 3,
  atMs: Date.UTC(2024, 1, 29, 23, 59, 59, index),
}));

function written(format: TableFormat, portions: readonly (readonly Row[])[]): Buffer {
  const table = format(COLUMNS);
  return Buffer.concat([table.begin(), ...portions.map((rows) => table.add(rows)), table.end()]);
}

const times = () => ROWS.map(({ atMs }) => new Date(atMs).toISOString());

let duck: DuckDBInstance;
beforeAll(async () => {
  duck = await DuckDBInstance.create();
});
afterAll(() => duck.closeSync());

async function select(sql: string) {
  const connection = await duck.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowsJS();
  } finally {
    connection.closeSync();
  }
}

describe('a table', () => {
  test('as CSV has a line of names, and is read back by another reader of CSV', () => {
    const text = written(csvTable, [ROWS.slice(0, 3), [], ROWS.slice(3)]).toString();
    expect(
      text.startsWith('name,count,share,at\r\nplain,9007199254740991,,2024-02-29T23:59:59.000Z\r\n'),
    ).toBe(true);
    const rows: string[][] = parse(text, { from_line: 2 });
    expect(rows.map(([name]) => name)).toEqual(NAMES);
    expect(rows.map(([, count]) => Number(count))).toEqual(ROWS.map(({ count }) => count));
    expect(rows.map(([, , share]) => (share === '' ? undefined : Number(share)))).toEqual(
      ROWS.map(({ share }) => share),
    );
    expect(rows.map((row) => row[3])).toEqual(times());
  });

  test('as NDJSON has an object a line, without fields that are absent', () => {
    const lines = written(ndjsonTable, [ROWS])
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toEqual(
      ROWS.map(({ name, count, share }, index) => ({
        name,
        count,
        ...(share !== undefined && { share }),
        at: times()[index],
      })),
    );
  });

  test('as Parquet has 64-bit integers and times of UTC for DuckDB, over several groups of rows', async () => {
    const path = join(await testFolder(), 'table.parquet');
    const many = Array.from({ length: 5_000 }, () => ROWS).flat();
    await writeFile(
      path,
      written(parquetTable, [many.slice(0, 7), many.slice(7, 30_000), many.slice(30_000)]),
    );
    expect(await select(`select column_name, column_type from (describe from '${path}')`)).toEqual([
      ['name', 'VARCHAR'],
      ['count', 'BIGINT'],
      ['share', 'DOUBLE'],
      ['at', 'TIMESTAMP WITH TIME ZONE'],
    ]);
    expect(await select(`select count(*) from '${path}'`)).toEqual([[45_000n]]);
    expect(
      await select(
        `select name, count, share, epoch_ms("at"), count(*) from '${path}' group by all order by 4`,
      ),
    ).toEqual(
      ROWS.map(({ name, count, share, atMs }) => [name, BigInt(count), share ?? null, BigInt(atMs), 5_000n]),
    );
  });

  test.each<[string, TableFormat, string]>([
    ['CSV', csvTable, 'name,count,share,at\r\n'],
    ['NDJSON', ndjsonTable, ''],
  ])('as %s without rows is what stands before them', (_name, format, text) => {
    expect(written(format, []).toString()).toBe(text);
  });

  test('as Parquet without rows is a table still', async () => {
    const path = join(await testFolder(), 'empty.parquet');
    await writeFile(path, written(parquetTable, [[]]));
    expect(await select(`select count(*) from '${path}'`)).toEqual([[0n]]);
  });
});
