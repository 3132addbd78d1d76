/** The schema comes to be from numbered files, however many processes start at once. */
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../../../src/adapters/postgres/migrate.ts';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts';
import { addShard, delta, flushOf, MINUTE, partitionsOf } from './ledger.ts';

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

test('what was counted before there were rollups is in them, also of a closed period, and later flushes add to it', async () => {
  const { url } = await emptyDatabase();
  const older = await runner({
    databaseUrl: url,
    dir: FOLDER,
    direction: 'up',
    migrationsTable: 'migration',
    count: 8,
    log: () => undefined,
  });
  expect(older.at(-1)?.name).toMatch(/^0008/);
  const pool = connectPostgres(url, 'test', 2, () => undefined);
  onTestFinished(() => pool.end());
  for (const day of ['2025-09-30', '2025-10-01'])
    await pool.query(
      `create table ad_minute_${day.replaceAll('-', '_')} partition of ad_minute
       for values from ('${day} 00:00+00') to (timestamptz '${day} 00:00+00' + interval '1 day')`,
    );
  await pool.query(`
    insert into ad_minute select ad, minute, 4, 3, 2, 1, 5, 6, 7, 8, 2 from unnest(array['hats', 'shoes']) as ad,
      unnest(array['2025-09-30 22:58Z', '2025-09-30 22:59Z', '2025-09-30 23:00Z', '2025-10-01 00:00Z']::timestamptz[]) as minute;
    update settlement set watched_through = '2025-10-01 00:00Z', settled_through = '2025-10-01 00:00Z',
      closed_through = '2025-10-01 00:00Z'`);
  expect((await migrate(url)).at(0)).toMatch(/^0009/);
  const read = async (sql: string) => (await pool.query({ text: sql, rowMode: 'array' })).rows;
  const hours = `select ad_id, to_char(hour at time zone 'UTC', 'DD HH24'), valid::int, test::int from ad_hour
    where ad_id = 'shoes' order by hour`;
  expect(await read(hours)).toEqual([
    ['shoes', '30 22', 8, 12],
    ['shoes', '30 23', 4, 6],
    ['shoes', '01 00', 4, 6],
  ]);
  const days = `select ad_id, to_char(day at time zone 'UTC', 'DD'), repeat::int, givt::int, sivt::int from ad_day order by 1, day`;
  expect(await read(days)).toEqual([
    ['hats', '30', 9, 6, 3],
    ['hats', '01', 3, 2, 1],
    ['shoes', '30', 9, 6, 3],
    ['shoes', '01', 3, 2, 1],
  ]);
  expect(await read('select shard, sum(defective)::int, count(*)::int from shard_minute group by 1')).toEqual(
    [[-1, 40, 4]],
  );
  const ledger = { pool, url, end: () => pool.end() };
  await addShard(ledger, 0);
  const flush = flushOf({ rows: [delta('shoes', MINUTE + 60_000, { valid: 1 })] });
  expect(await storeFlush(pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
  expect((await read(hours)).at(-1)).toEqual(['shoes', '01 00', 5, 6]);
});

test('a database that is not there is an error', async () => {
  const { url } = await emptyDatabase();
  await expect(migrate(`${url}_missing`)).rejects.toThrow('does not exist');
});
