/**
 * The local PostgreSQL, with the settings that production has: `fsync` and `synchronous_commit` on. Only tests
 * may leave fsync out, on a server that is thrown away.
 *
 * Reached by password on a loopback port; it has no socket file, because the usual folder for it need not exist or
 * be writable. A fast stop is SIGINT: SIGTERM would wait for every client to leave by itself.
 */
import { spawnSync } from 'node:child_process';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { CliError } from '../cliError.ts';
import { type Privileges, tiedCommand, unprivileged } from './privileges.ts';
import type { ServerDefinition } from './server.ts';
import { toolPath } from './tools.ts';

export interface PostgresServerOptions {
  readonly directory: string;
  readonly password: string;
  /** Off only for data that nobody will miss. */
  readonly fsync?: boolean;
  readonly connectionsMax?: number;
}

const USER = 'clickledger';
const DATABASE = 'clickledger';
const CONNECTIONS_MAX = 100;
const PROBE_TIMEOUT_MS = 5_000;

export function postgresServer(options: PostgresServerOptions): ServerDefinition {
  const { directory, password } = options;
  const data = join(directory, 'data');
  let privileges: Privileges;
  const url = (port: number, database = DATABASE) =>
    `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  return {
    name: 'postgres',
    async prepare() {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      privileges ??= unprivileged(join(directory, '..'));
      if (privileges.user) await chown(directory, privileges.user.uid, privileges.user.gid);
      await initialize(options, data, privileges);
    },
    process: (port) => ({
      command: [toolPath('postgres'), '-D', data, ...serverSettings(options, port)],
      privileges,
      stopSignal: 'SIGINT',
    }),
    url,
    probe: (port) => ensureDatabase(url(port, 'postgres')),
  };
}

function serverSettings(options: PostgresServerOptions, port: number): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: options.connectionsMax ?? CONNECTIONS_MAX,
    fsync: options.fsync === false ? 'off' : 'on',
    synchronous_commit: 'on',
    timezone: 'UTC',
    log_timezone: 'UTC',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Makes the database files beside their place and moves them there: half a start leaves no half a database. */
async function initialize(options: PostgresServerOptions, data: string, privileges: Privileges) {
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined) return requireVersion(version.trim(), data);
  const unfinished = `${data}.unfinished`;
  const passwordFile = join(options.directory, 'password');
  await rm(unfinished, { recursive: true, force: true });
  await writeFile(passwordFile, options.password, { mode: 0o600 });
  if (privileges.user) await chown(passwordFile, privileges.user.uid, privileges.user.gid);
  const command = [toolPath('initdb'), '-D', unfinished, '-U', USER, `--pwfile=${passwordFile}`];
  command.push('--auth=scram-sha-256', '--encoding=UTF8', '--locale=C.UTF-8');
  if (options.fsync === false) command.push('--no-sync');
  const [program = '', ...parts] = tiedCommand(command, 'KILL', privileges);
  const { status, stdout, stderr } = spawnSync(program, parts, { cwd: '/', encoding: 'utf8' });
  await rm(passwordFile);
  if (status !== 0) throw new CliError(`initdb could not make ${data}:\n${stdout}${stderr}`);
  await rename(unfinished, data);
}

function requireVersion(madeBy: string, data: string): void {
  const { stdout } = spawnSync(toolPath('postgres'), ['--version'], { encoding: 'utf8' });
  const major = /(\d+)/.exec(stdout)?.[1];
  if (major === madeBy) return;
  throw new CliError(
    `${data} was made by PostgreSQL ${madeBy}, and the PostgreSQL of this machine is ${major}.\n` +
      `Install PostgreSQL ${madeBy}, or move the data with pg_upgrade.`,
  );
}

async function ensureDatabase(administrationUrl: string): Promise<void> {
  const client = new Client({
    connectionString: administrationUrl,
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
  });
  // A server that ends in the middle of it is reported by the query; the event would be an uncaught error.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}
