/** Reading in a snapshot, by callers who give up. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import { inSnapshot } from '../../../src/adapters/postgres/snapshot.ts';
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts';

let database: FreshDatabase;

beforeAll(async () => {
  database = await freshDatabase({ migrated: false });
});
afterAll(() => database.drop());

test('a caller who gives up while it waits for a connection leaves the connection as it is', async () => {
  const pool = connectPostgres(database.url, 'test', 1, () => undefined);
  const backend = async () =>
    (await pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
  const first = await backend();
  const held = await pool.connect();
  const gone = new AbortController();
  const read = () => Promise.reject(new Error('nothing is read for who has gone'));
  const waiting = inSnapshot(pool, read, gone.signal).catch((error: unknown) => error);
  gone.abort();
  held.release();
  expect(await waiting).toBe(gone.signal.reason);
  expect(await backend()).toBe(first);
  await pool.end();
});
