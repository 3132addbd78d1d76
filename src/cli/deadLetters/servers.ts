/** The servers of an installation, as the commands about dead letters reach them. */
import { DatabaseError, type Pool } from 'pg';
import { readSettings } from '../../adapters/environment/settings.ts';
import { ClickPublisher } from '../../adapters/nats/clickPublisher.ts';
import { connectNats } from '../../adapters/nats/connection.ts';
import { Connectivity } from '../../adapters/nats/connectivity.ts';
import { checkNats } from '../../adapters/nats/requirements.ts';
import { RoutingLog } from '../../adapters/nats/routingLog.ts';
import { connectPostgres } from '../../adapters/postgres/pool.ts';
import { checkPostgres } from '../../adapters/postgres/requirements.ts';
import type { RoutingTable } from '../../domain/routingTable.ts';
import { CliError } from '../cliError.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';

const NAME = 'dead-letters';
const CONNECTIONS_MAX = 2;
/** SQLSTATE undefined_table and undefined_column: the tables are those of an earlier release. */
const NOT_MIGRATED = ['42P01', '42703'];

export interface Broker {
  readonly table: RoutingTable;
  readonly publisher: ClickPublisher;
}

/** @throws CliError, SettingsError, UnfitServerError */
export async function withLedger<T>(use: (pool: Pool) => Promise<T>): Promise<T> {
  const { databaseUrl } = readSettings(installation(), ['databaseUrl']);
  await checkPostgres(databaseUrl);
  // A connection that breaks while idle is replaced; one that is used says so itself.
  const pool = connectPostgres(databaseUrl, NAME, CONNECTIONS_MAX, () => undefined);
  try {
    return await use(pool);
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

/** With the routing table as it is now. @throws CliError, SettingsError, UnfitServerError */
export async function withBroker<T>(use: (broker: Broker) => Promise<T>): Promise<T> {
  const { natsUrl, publishTimeoutMs } = readSettings(installation(), ['natsUrl', 'publishTimeoutMs']);
  await checkNats(natsUrl);
  const connection = await connectNats(natsUrl, NAME);
  try {
    const manager = await connection.jetstreamManager();
    const client = connection.jetstream();
    const routing = new RoutingLog(client, manager);
    await routing.read();
    if (!routing.isCreated) throw new CliError('there is no routing table yet: run ./clickledger migrate');
    const publisher = new ClickPublisher(client, manager, new Connectivity(connection), publishTimeoutMs);
    return await use({ table: routing.table, publisher });
  } finally {
    await connection.close();
  }
}

function installation(): Readonly<Record<string, string>> {
  const directory = dataDirectory();
  const environment = instanceEnvironment(directory);
  if (environment['DATABASE_URL'] === undefined) {
    throw new CliError(
      `nothing runs on ${directory}: start it with ./clickledger up, or name its servers with DATABASE_URL and NATS_URL`,
    );
  }
  return environment;
}
