/** Reads what is stored, straight from PostgreSQL: counts, checkpoints and their sums. */
import { Client } from 'pg';
import { type Counts, NO_COUNTS } from './clickPlan.ts';
import type { Cluster } from './cluster.ts';

export interface ShardRow {
  readonly shard: number;
  readonly owner: string | null;
  readonly epoch: number;
  readonly floor: number;
  readonly records: number;
  readonly duplicates: number;
  readonly deadLetters: number;
}

const COLUMNS = Object.keys(NO_COUNTS) as (keyof Counts)[];

/** Runs `work` on a connection of its own that no proxy stands in. */
export async function onDatabase<T>(cluster: Cluster, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: cluster.servers.postgres.url });
  // A server that is killed in the middle is reported by the query.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function readShards(client: Client): Promise<ShardRow[]> {
  const { rows } = await client.query(
    'select shard, owner, epoch, floor, records, duplicates, dead_letters from shard order by shard',
  );
  return rows.map((row) => ({
    shard: row.shard,
    owner: row.owner,
    epoch: Number(row.epoch),
    floor: Number(row.floor),
    records: Number(row.records),
    duplicates: Number(row.duplicates),
    deadLetters: Number(row.dead_letters),
  }));
}

/** What is stored of these ads, by "ad minute". */
export async function readCounts(client: Client, adIds: readonly string[]): Promise<Map<string, Counts>> {
  const { rows } = await client.query(
    `select ad_id, (extract(epoch from minute) * 1000)::bigint as minute, ${COLUMNS.join(', ')}
     from ad_minute where ad_id = any($1)`,
    [adIds],
  );
  return new Map(
    rows.map((row) => [
      `${row.ad_id} ${row.minute}`,
      Object.fromEntries(COLUMNS.map((column) => [column, Number(row[column])])) as unknown as Counts,
    ]),
  );
}

/** All counts of all ads together. */
export async function sumOfCounts(client: Client): Promise<number> {
  const { rows } = await client.query(
    `select coalesce(sum(${COLUMNS.join(' + ')}), 0) as sum from ad_minute`,
  );
  return Number(rows[0]?.sum);
}

export function total(counts: Iterable<Counts>): number {
  let sum = 0;
  for (const count of counts) for (const column of COLUMNS) sum += count[column];
  return sum;
}

/** The rows of one ad, added up. */
export function ofAd(stored: ReadonlyMap<string, Counts>, adId: string): Counts {
  const sum = { ...NO_COUNTS };
  for (const [key, counts] of stored) {
    if (!key.startsWith(`${adId} `)) continue;
    for (const column of COLUMNS) sum[column] += counts[column];
  }
  return sum;
}
