/** What clickledger needs of the PostgreSQL that DATABASE_URL names. */
import { Client } from 'pg';
import { addressOf, isAtLeast, reaching, UnfitServerError } from '../environment/unfitServer.ts';

const CONNECT_TIMEOUT_MS = 5_000;

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
