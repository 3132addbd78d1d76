/** The servers of an installation, as commands that work on its streams and counts reach them. */
import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats';
import { DatabaseError, type Pool } from 'pg';
import { readSettings } from '../adapters/environment/settings.ts';
import { connectNats } from '../adapters/nats/connection.ts';
import { checkNats } from '../adapters/nats/requirements.ts';
import { RoutingLog } from '../adapters/nats/routingLog.ts';
import { POOL_CONNECTIONS_MAX } from '../adapters/postgres/connectionBudget.ts';
import { connectPostgres } from '../adapters/postgres/pool.ts';
import { checkPostgres } from '../adapters/postgres/requirements.ts';
import { CliError } from './cliError.ts';
import { dataDirectory, instanceEnvironment } from './stack/instance.ts';

/** SQLSTATE undefined_table and undefined_column: the tables are those of an earlier release. */
const NOT_MIGRATED = ['42P01', '42703'];

export interface Broker {
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  /** Read as it is now. */
  readonly routing: RoutingLog;
}

export interface Ledger {
  readonly url: string;
  readonly pool: Pool;
}

/**
 * @param name by which the server knows who is connected
 * @throws CliError, SettingsError, UnfitServerError
 */
export async function withLedger<T>(name: string, use: (ledger: Ledger) => Promise<T>): Promise<T> {
  const { databaseUrl } = readSettings(installation(), ['databaseUrl']);
  await checkPostgres(databaseUrl);
  // A connection that breaks while idle is replaced; one that is used says so itself.
  const pool = connectPostgres(databaseUrl, name, POOL_CONNECTIONS_MAX.command, () => undefined);
  try {
    return await use({ url: databaseUrl, pool });
  } catch (error) {
    if (error instanceof DatabaseError && NOT_MIGRATED.includes(error.code ?? ''))
      throw new CliError(
        `the tables are not those of this release (${error.message}): run ./clickledger migrate`,
      );
    throw error;
  } finally {
    await pool.end();
  }
}

/** @throws CliError, SettingsError, UnfitServerError */
export async function withBroker<T>(name: string, use: (broker: Broker) => Promise<T>): Promise<T> {
  const { natsUrl } = readSettings(installation(), ['natsUrl']);
  await checkNats(natsUrl);
  const connection = await connectNats(natsUrl, name);
  try {
    const manager = await connection.jetstreamManager();
    const client = connection.jetstream();
    const routing = new RoutingLog(client, manager);
    await routing.read();
    if (!routing.isCreated) throw new CliError('there is no routing table yet: run ./clickledger migrate');
    return await use({ connection, client, manager, routing });
  } finally {
    await connection.close();
  }
}

/** The settings of the installation that runs, or of its named servers. @throws CliError where there is none */
export function installation(): Readonly<Record<string, string>> {
  const directory = dataDirectory();
  const environment = instanceEnvironment(directory);
  if (environment['DATABASE_URL'] === undefined) {
    throw new CliError(
      `nothing runs on ${directory}: start it with ./clickledger up, or name its servers with DATABASE_URL and NATS_URL`,
    );
  }
  return environment;
}
