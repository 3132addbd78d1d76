/** Actors processes with the settings that everybody has: they share the shards, hand them over, and replace each other. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareInstallation } from '../../src/cli/prepareInstallation.ts';
import { startNats } from '../support/nats.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { type FreshDatabase, freshDatabase } from '../support/postgres.ts';
import { freshRedis } from '../support/redis.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/actors/main.ts');
const SHARDS = 16;
/** What a take-over may take by the default settings: the lease, a heartbeat, and a little. */
const TAKE_OVER_MS = 5_000;

let nats: OwnServer;
let database: FreshDatabase;
let pool: Pool;
let environment: NodeJS.ProcessEnv;
const children = new Map<string, ChildProcess>();

beforeAll(async () => {
  nats = await startNats();
  database = await freshDatabase();
  pool = new Pool({ connectionString: database.url });
  environment = {
    ...process.env,
    NATS_URL: nats.url,
    REDIS_URL: (await freshRedis()).url,
    DATABASE_URL: database.url,
    SHARDS: String(SHARDS),
  };
  await prepareInstallation(environment);
}, 60_000);

afterAll(async () => {
  for (const child of children.values()) child.kill('SIGKILL');
  await pool.end();
  await database.drop();
  await nats.stop();
});

function start(name: string): void {
  const child = spawn(process.execPath, ['--no-env-file', MAIN], {
    env: { ...environment, CLICKLEDGER_NODE: name },
    stdio: 'ignore',
  });
  children.set(name, child);
}

function ended(name: string): Promise<number | null> {
  return new Promise((resolve) => children.get(name)?.on('exit', resolve));
}

/** How many shards each node owns by leases that run. */
async function spread(): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ owner: string; count: number }>(
    'select owner, count(*)::integer from shard where lease_until >= clock_timestamp() group by owner order by owner',
  );
  return Object.fromEntries(rows.map(({ owner, count }) => [owner, count]));
}

/** Waits for this spread; returns after how long it was there. */
async function untilSpread(right: Record<string, number>): Promise<number> {
  const startedAt = performance.now();
  await expect.poll(spread, { timeout: 30_000, interval: 20 }).toEqual(right);
  return performance.now() - startedAt;
}

test('three processes share the shards, one that drains hands over at once, one that is killed is replaced', async () => {
  start('one');
  await untilSpread({ one: SHARDS });
  start('two');
  await untilSpread({ one: 8, two: 8 });
  start('three');
  await untilSpread({ one: 6, three: 5, two: 5 });

  children.get('two')?.kill('SIGKILL');
  const takeOverMs = await untilSpread({ one: 8, three: 8 });
  process.stdout.write(`actors: a killed process was replaced after ${Math.round(takeOverMs)} ms\n`);
  expect(takeOverMs).toBeLessThan(TAKE_OVER_MS);

  const drained = ended('one');
  children.get('one')?.kill('SIGTERM');
  const handOverMs = await untilSpread({ three: SHARDS });
  process.stdout.write(`actors: a draining process was replaced after ${Math.round(handOverMs)} ms\n`);
  expect(await drained).toBe(0);
  // A lease that has to run out first would take its 3 s.
  expect(handOverMs).toBeLessThan(2_500);
}, 90_000);
