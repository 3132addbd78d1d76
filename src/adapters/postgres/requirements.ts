/** What clickledger needs of the PostgreSQL that DATABASE_URL names. */
import { Client } from 'pg';
import { addressOf, isAtLeast, reaching, UnfitServerError } from '../environment/unfitServer.ts';
import { connectionBudget, type ProcessCounts } from './connectionBudget.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** PostgreSQL 16 can reserve some for others than superusers, too. */
const LIMITS = `
  select current_setting('max_connections')::int as most,
    current_setting('superuser_reserved_connections')::int
      + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved`;

/**
 * Whether it allows as many connections as these processes may need.
 * @throws UnfitServerError that says how many it allows
 */
export async function checkConnectionBudget(url: string, counts: ProcessCounts): Promise<void> {
  await reaching('DATABASE_URL', url, async () => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
    await client.connect();
    try {
      const { rows } = await client.query<{ most: number; reserved: number }>(LIMITS);
      const { most = 0, reserved = 0 } = rows[0] ?? {};
      const needed = connectionBudget(counts);
      if (needed > most - reserved) {
        throw new UnfitServerError(
          `DATABASE_URL: PostgreSQL at ${addressOf(url)} allows ${most - reserved} connections (max_connections ${most} less ${reserved} reserved), but the processes (gateways: ${counts.gateways}, actors: ${counts.actors}, query, reconciler, commands) may need ${needed}: set its max_connections to at least ${needed + reserved}, or start fewer`,
        );
      }
    } finally {
      await client.end();
    }
  });
}

/** @throws UnfitServerError that says what is wrong with it */
export async function checkPostgres(url: string): Promise<void> {
  await reaching('DATABASE_URL', url, async () => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
    await client.connect();
    try {
      const { rows } = await client.query<{ server_version: string }>('show server_version');
      const version = rows[0]?.server_version ?? '';
      if (!isAtLeast(version, 15, 0)) {
        throw new UnfitServerError(
          `DATABASE_URL: PostgreSQL at ${addressOf(url)} is ${version}, at least 15 is needed`,
        );
      }
    } finally {
      await client.end();
    }
  });
}
