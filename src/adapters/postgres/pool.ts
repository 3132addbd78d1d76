/** The connections of one process to PostgreSQL. */
import { Pool, type PoolConfig } from 'pg';

const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 30_000;
/** For what the server itself does not end: a connection over which nothing comes back any more is replaced. */
const SILENCE_MS = 1_000;

/**
 * @param connectionsMax the process's share of the server's connections
 * @param onError hears of connections that broke while idle; the pool replaces them
 * @param statementTimeoutMs after so long a statement is given up
 */
export function connectPostgres(
  url: string,
  name: string,
  connectionsMax: number,
  onError: (error: Error) => void,
  statementTimeoutMs = STATEMENT_TIMEOUT_MS,
): Pool {
  return openPool(onError, {
    connectionString: url,
    application_name: name,
    max: connectionsMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + SILENCE_MS,
  });
}

/**
 * The one connection of a process for its heartbeats alone, so that slow flushes do not keep them waiting.
 * @param boundMs after so long a heartbeat is given up and its connection replaced
 */
export function connectForHeartbeats(
  url: string,
  name: string,
  boundMs: number,
  onError: (error: Error) => void,
): Pool {
  return openPool(onError, {
    connectionString: url,
    application_name: `${name} heartbeat`,
    max: 1,
    connectionTimeoutMillis: boundMs,
    statement_timeout: boundMs,
    query_timeout: boundMs,
  });
}

/** The one connection of a recount: its statements take as long as there are counts. */
export function connectForRecount(url: string, name: string, onError: (error: Error) => void): Pool {
  return openPool(onError, {
    connectionString: url,
    application_name: `${name} recount`,
    max: 1,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: '-c statement_timeout=0 -c idle_in_transaction_session_timeout=0',
  });
}

function openPool(onError: (error: Error) => void, config: PoolConfig): Pool {
  const pool = new Pool({ ...config, keepAlive: true });
  pool.on('error', onError);
  return pool;
}

/** A bigint column as a number. @throws RangeError beyond 2^53, rather than a number that is nearly right. */
export function exactNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is beyond 2^53`);
  return value;
}
