/** The schema comes to be from numbered files, however many processes start at once. */
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../../../src/adapters/postgres/migrate.ts';
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts';

const FOLDER = resolve(import.meta.dirname, '../../../src/adapters/postgres/migrations');

async function emptyDatabase(): Promise<FreshDatabase> {
  const database = await freshDatabase({ migrated: false });
  onTestFinished(() => database.drop());
  return database;
}

async function tablesIn(url: string): Promise<string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by 1`,
    );
    return rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

async function fileNames(): Promise<string[]> {
  return (await readdir(FOLDER)).map((file) => file.replace(/\.sql$/, '')).sort();
}

test('an empty database gets every migration in order, a second run finds nothing to do', async () => {
  const { url } = await emptyDatabase();
  expect(await migrate(url)).toEqual(await fileNames());
  const tables = await tablesIn(url);
  expect(tables).toEqual(expect.arrayContaining(['ad', 'ad_minute', 'dead_letter', 'migration', 'shard']));
  expect(await migrate(url)).toEqual([]);
  expect(await tablesIn(url)).toEqual(tables);
});

test('of several that start at once one migrates and the others wait for it', async () => {
  const { url } = await emptyDatabase();
  const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  expect(applied.flat()).toEqual(await fileNames());
  expect(await tablesIn(url)).toContain('ad_minute');
});

test('a database that is not there is an error', async () => {
  const { url } = await emptyDatabase();
  await expect(migrate(`${url}_missing`)).rejects.toThrow('does not exist');
});
