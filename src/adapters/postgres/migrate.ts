/** Brings the database's schema up to date: forward only, numbered files in `migrations`. */
import path from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Applies what is missing and returns the names of it. Two starters at once: the second waits for the first. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  // Its own connection would still be open, for a moment, when it has returned.
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const applied = await runner({
      dbClient: client,
      dir: path.join(import.meta.dirname, 'migrations'),
      direction: 'up',
      migrationsTable: 'migration',
      advisoryLockMode: 'wait',
      logger: silent,
    });
    return applied.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
