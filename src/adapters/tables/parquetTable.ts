/** Tables as Apache Parquet, compressed with Zstandard: a row group of so many rows at a time,
 * which is what memory holds (I14). */
import type { SchemaElement } from 'hyparquet';
import { ByteWriter, type ColumnSource, ParquetWriter } from 'hyparquet-writer';
import type { ColumnKind, TableColumn, TableWriter } from '../../domain/tableFile.ts';

const GROUP_ROWS = 20_000;

const ELEMENTS: Readonly<Record<ColumnKind, Omit<SchemaElement, 'name'>>> = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
  integer: { type: 'INT64', repetition_type: 'REQUIRED' },
  ratio: { type: 'DOUBLE', repetition_type: 'OPTIONAL' },
  time: {
    type: 'INT64',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
    repetition_type: 'REQUIRED',
  },
};

export function parquetTable<Row>(columns: readonly TableColumn<Row>[]): TableWriter<Row> {
  const bytes = new TakenBytes();
  const parquet = new ParquetWriter({
    writer: bytes,
    schema: [
      { name: 'row', num_children: columns.length },
      ...columns.map(({ name, kind }) => ({ ...ELEMENTS[kind], name })),
    ],
    codec: 'ZSTD',
    compressors: { ZSTD: (plain) => Bun.zstdCompressSync(plain) },
    createdBy: 'clickledger',
  });
  let group: Row[] = [];
  const writeGroup = (rows: readonly Row[]) => {
    // Nothing of this writer waits: the promise of the library is for those that do.
    void parquet.write({
      columnData: columns.map((column) => columnOf(column, rows)),
      rowGroupSize: rows.length,
    });
  };
  return {
    begin: () => bytes.take(),
    add: (rows) => {
      group = group.concat(rows);
      for (; group.length >= GROUP_ROWS; group = group.slice(GROUP_ROWS))
        writeGroup(group.slice(0, GROUP_ROWS));
      return bytes.take();
    },
    end: () => {
      if (group.length > 0) writeGroup(group);
      void parquet.finish();
      return bytes.take();
    },
  };
}

function columnOf<Row>({ name, kind, cell }: TableColumn<Row>, rows: readonly Row[]): ColumnSource {
  const data = rows.map((row) => {
    const value = cell(row);
    if (value === undefined) return null;
    return kind === 'integer' || kind === 'time' ? BigInt(value) : value;
  });
  return { name, data };
}

/** What the library has written since the last time; its offsets go on. */
class TakenBytes extends ByteWriter {
  #taken: Uint8Array[] = [];

  flush(): void {
    this.#taken.push(this.getBytes().slice());
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }

  take(): Uint8Array {
    const bytes = Buffer.concat(this.#taken);
    this.#taken = [];
    return bytes;
  }
}
