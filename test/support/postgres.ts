/** PostgreSQL for tests: a migrated database of the shared server, or a server of one's own where it is to be killed. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { postgresServer } from '../../src/cli/stack/postgresServer.ts';
import { type OwnServer, startOwn } from './ownServer.ts';

export interface FreshDatabase {
  readonly url: string;
  /** Removes it, with the connections that are still open to it. */
  drop(): Promise<void>;
}

const TEMPLATE = 'migrated_template';
/** Test files run at once; the first one makes the template, the others wait for it under this lock. */
const TEMPLATE_LOCK = 7_241_001;

/** A database that has all migrations and no rows. Not migrated: only the empty database. */
export async function freshDatabase({ migrated = true } = {}): Promise<FreshDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(async (client) => {
    if (migrated) await ensureTemplate(client);
    await client.query(`create database ${name} template ${migrated ? TEMPLATE : 'template0'}`);
  });
  return {
    url: databaseUrl(name),
    drop: () =>
      administer(async (client) => {
        await client.query(`drop database if exists ${name} with (force)`);
      }),
  };
}

/** A PostgreSQL of a test's own, which may be stopped, killed and started again; its database is not migrated. */
export async function startPostgres({ fsync = false } = {}): Promise<OwnServer> {
  return startOwn('postgres', (directory, secret) => postgresServer({ directory, password: secret, fsync }));
}

function databaseUrl(name: string): string {
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${name}`;
  return url.href;
}

async function administer(work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: databaseUrl('postgres') });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Copying a migrated database takes a fraction of the time of migrating one. */
async function ensureTemplate(client: Client): Promise<void> {
  await client.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [TEMPLATE]);
    if (rowCount !== 0) return;
    const unfinished = `${TEMPLATE}_unfinished`;
    await client.query(`drop database if exists ${unfinished} with (force)`);
    await client.query(`create database ${unfinished}`);
    await migrate(databaseUrl(unfinished));
    await client.query(`alter database ${unfinished} rename to ${TEMPLATE}`);
  } finally {
    await client.query('select pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}
