/** Floor of part b, what people build first: a PostgreSQL statement a click, which dedups and counts at once. */
import { Client } from 'pg';
import type { BenchInstallation } from '../benchInstallation.ts';
import { type TimedRun, timedRun } from '../timedRun.ts';
import type { Workload } from '../workload.ts';

const CONNECTIONS = 16;

const TABLES = `
  create table if not exists first_click_seen (ad_id text, impression_id uuid, primary key (ad_id, impression_id));
  create table if not exists first_count (ad_id text, minute timestamptz, clicks bigint, primary key (ad_id, minute))`;

const STATEMENT = {
  name: 'statement-a-click',
  text: `
  with first as (
    insert into first_click_seen values ($1, $2) on conflict do nothing returning ad_id
  )
  insert into first_count as stored select ad_id, to_timestamp($3::float8 / 1000), 1 from first
  on conflict (ad_id, minute) do update set clicks = stored.clicks + 1`,
};

export class StatementAClick {
  readonly #installation: BenchInstallation;
  readonly #connections: readonly Client[];

  private constructor(installation: BenchInstallation, connections: readonly Client[]) {
    this.#installation = installation;
    this.#connections = connections;
  }

  static async open(installation: BenchInstallation): Promise<StatementAClick> {
    const url = installation.environment['DATABASE_URL'];
    const connections = Array.from({ length: CONNECTIONS }, () => new Client(url));
    // A server that ends before this is closed breaks them.
    for (const client of connections) client.on('error', () => undefined);
    await Promise.all(connections.map((client) => client.connect()));
    await connections[0]?.query(TABLES);
    return new StatementAClick(installation, connections);
  }

  /** Until all are committed. */
  count({ clicks, minuteMs }: Workload): Promise<TimedRun> {
    let next = 0;
    const countOn = async (client: Client) => {
      for (let click = clicks[next++]; click !== undefined; click = clicks[next++])
        await client.query({ ...STATEMENT, values: [click.adId, click.impressionId, minuteMs] });
    };
    return timedRun(this.#installation, clicks.length, () => Promise.all(this.#connections.map(countOn)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((client) => client.end()));
  }
}
