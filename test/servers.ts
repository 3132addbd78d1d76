/**
 * Once for a whole run of tests: one Redis and one PostgreSQL that all test files share, each file with a database
 * of its own (test/support/redis.ts, test/support/postgres.ts). nats-server starts in milliseconds: each file that
 * needs one starts its own (test/support/nats.ts).
 *
 * Everything lies in one temporary folder. It is removed at the end, and by a guard process if the run is killed;
 * the servers then end by themselves (src/cli/stack/privileges.ts).
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { postgresServer } from '../src/cli/stack/postgresServer.ts';
import { redisServer } from '../src/cli/stack/redisServer.ts';
import { startServer } from '../src/cli/stack/server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where tests put files; nobody else's, removed after the run. */
    testDirectory: string;
    redisUrl: string;
    databaseUrl: string;
  }
}

/** Test files that run at once, times the connections that each may hold. */
const POSTGRES_CONNECTIONS_MAX = 200;
/** Each call of `freshRedis` takes one; they are not handed out twice in a run. */
export const REDIS_DATABASES = 4_096;
const STOP_BOUND_MS = 10_000;

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'clickledger-test-'));
  // The user `postgres` must be able to pass through.
  await chmod(directory, 0o711);
  guard(directory);
  const secret = randomBytes(16).toString('hex');
  const place = (name: string) => ({ logFile: join(directory, 'logs', `${name}.log`) });
  const redis = redisServer({
    directory: join(directory, 'redis'),
    password: secret,
    databases: REDIS_DATABASES,
  });
  const postgres = postgresServer({
    directory: join(directory, 'postgres'),
    password: secret,
    fsync: false,
    connectionsMax: POSTGRES_CONNECTIONS_MAX,
  });
  const servers = await Promise.all([
    startServer(redis, place('redis-server')),
    startServer(postgres, place('postgres')),
  ]);
  const [{ url: redisUrl }, { url: databaseUrl }] = servers;
  project.provide('testDirectory', directory);
  project.provide('redisUrl', redisUrl);
  project.provide('databaseUrl', databaseUrl);
  return async () => {
    await Promise.all(servers.map(({ child }) => child.stop(STOP_BOUND_MS)));
    await rm(directory, { recursive: true, force: true });
  };
}

/**
 * Removes `directory` when this process is gone, however it ended: its standard input then comes to its end. The
 * servers take a moment to end after that, so it tries for a while.
 */
function guard(directory: string): void {
  const script =
    'cat >/dev/null; for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1"; [ -e "$1" ] || exit; sleep 1; done';
  const child = spawn('sh', ['-c', script, 'guard', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.unref();
}
