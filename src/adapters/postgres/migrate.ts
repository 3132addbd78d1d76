/** Brings the database's schema up to date: forward only, numbered files in `migrations`. */
import path from 'node:path';
import { runner } from 'node-pg-migrate';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Applies what is missing and returns the names of it. Two starters at once: the second waits for the first. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const applied = await runner({
    databaseUrl,
    dir: path.join(import.meta.dirname, 'migrations'),
    direction: 'up',
    migrationsTable: 'migration',
    advisoryLockMode: 'wait',
    logger: silent,
  });
  return applied.map(({ name }) => name);
}
