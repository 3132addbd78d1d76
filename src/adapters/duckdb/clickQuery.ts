/**
 * Questions in SQL over the archive's files, by DuckDB in this process's memory. It can read just these files and
 * change nothing: one statement that asks, no other file, no network.
 */

import {
  type DuckDBConnection,
  DuckDBInstance,
  DuckDBTimestampTZValue,
  type DuckDBValue,
  StatementType,
} from '@duckdb/node-api';
import { errorText } from '../../domain/errorText.ts';

/** Times are shown in UTC, wherever this machine is. */
DuckDBTimestampTZValue.timezoneOffsetInMinutes = 0;

/** Every row; `clicks` leaves out what cannot be read as a click, and the bytes of messages. Hashes are hexadecimal. */
const VIEWS = (files: string) => `
  create view records as select * replace (lower(hex(user_key)) as user_key)
    from read_parquet([${files}], hive_partitioning = false);
  create view clicks as select * exclude (message) from records where click_id is not null`;

/** What DuckDB has against the question, in its own words. */
export class QueryError extends Error {
  override readonly name = 'QueryError';
}

export interface QueryAnswer {
  readonly columns: readonly string[];
  /** Rows by portions, a value a column. */
  readonly portions: AsyncIterable<readonly (readonly QueryValue[])[]>;
}

/** What is no number, truth value or null is a text, as DuckDB writes it. */
export type QueryValue = string | number | boolean | null;

export class ClickQuery {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  /** @param paths at least one */
  static async open(paths: readonly string[]): Promise<ClickQuery> {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const files = paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ');
    await connection.run(`set TimeZone = 'UTC'; ${VIEWS(files)}; set allowed_paths = [${files}];
      set enable_external_access = false; set lock_configuration = true`);
    return new ClickQuery(instance, connection);
  }

  /** @throws QueryError */
  async ask(sql: string): Promise<QueryAnswer> {
    if (sql.trim() === '') throw new QueryError('one statement is right, this is none');
    try {
      const statements = await this.#connection.extractStatements(sql);
      if (statements.count !== 1) throw new Error(`one statement is right, these are ${statements.count}`);
      const prepared = await statements.prepare(0);
      if (prepared.statementType !== StatementType.SELECT)
        throw new Error('the archive is only asked: right is one SELECT, DESCRIBE or SUMMARIZE');
      const result = await prepared.stream();
      return { columns: result.deduplicatedColumnNames(), portions: portionsOf(result.yieldRows()) };
    } catch (error) {
      throw queryError(error);
    }
  }

  /** `name type`, of each column of `clicks`. */
  async columns(): Promise<string[]> {
    const reader = await this.#connection.runAndReadAll('describe clicks');
    return reader.getRows().map(([name, type]) => `${name} ${type}`);
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

async function* portionsOf(rows: AsyncIterable<DuckDBValue[][]>): AsyncGenerator<QueryValue[][]> {
  try {
    for await (const portion of rows) yield portion.map((row) => row.map(plainValue));
  } catch (error) {
    throw queryError(error);
  }
}

function plainValue(value: DuckDBValue): QueryValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  return String(value);
}

function queryError(error: unknown): QueryError {
  return new QueryError(errorText(error));
}
