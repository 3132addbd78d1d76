/** One at a time, whatever becomes of the one that has the lock. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AdvisoryLock, ARCHIVE_LOCK } from '../../../src/adapters/postgres/advisoryLock.ts';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts';

let database: FreshDatabase;
const open = (name: string) => connectPostgres(database.url, name, 2, () => undefined);

beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

test('only one has it; given back, another gets it', async () => {
  const [one, other] = [open('one'), open('other')];
  const lock = await AdvisoryLock.take(one, ARCHIVE_LOCK);
  expect(lock).toBeDefined();
  expect(await AdvisoryLock.take(other, ARCHIVE_LOCK)).toBe(undefined);
  // Nor the same process a second time, and it has its connection back.
  expect(await AdvisoryLock.take(one, ARCHIVE_LOCK)).toBe(undefined);
  await lock?.check();
  await lock?.release();
  const next = await AdvisoryLock.take(other, ARCHIVE_LOCK);
  expect(next).toBeDefined();
  await next?.release();
  await Promise.all([one.end(), other.end()]);
});

test('whose connection is gone has lost it, and hears so before the next step', async () => {
  const [one, other] = [open('one'), open('other')];
  const lock = await AdvisoryLock.take(one, ARCHIVE_LOCK);
  await other.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'one'");
  await expect(lock?.check()).rejects.toThrow();
  let next = await AdvisoryLock.take(other, ARCHIVE_LOCK);
  // The server ends the session a moment later.
  for (; next === undefined; next = await AdvisoryLock.take(other, ARCHIVE_LOCK)) await Bun.sleep(10);
  await expect(lock?.check()).rejects.toThrow();
  await lock?.release();
  await next.check();
  await next.release();
  await Promise.all([one.end(), other.end()]);
});
