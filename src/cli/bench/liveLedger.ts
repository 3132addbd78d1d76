/** An installation that counts: a gateway, actors, a catalog of ads, and what it takes to time how clicks go through. */
import { Pool } from 'pg';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import type { Bench } from './bench.ts';
import { registerAds } from './benchAds.ts';
import { type BenchInstallation, withInstallation } from './benchInstallation.ts';
import { IngestStreams } from './ingestStreams.ts';
import { withRedis } from './redisClient.ts';
import { type TimedRun, timedRun } from './timedRun.ts';
import { encodeBatches, makeWorkload, type Workload } from './workload.ts';

const POLL_MS = 20;

export interface CountedRun extends TimedRun {
  /** How large the batches were that group commit made. */
  readonly clicksAMessage: number;
}

interface Sums {
  readonly messages: number;
  readonly records: number;
  readonly duplicates: number;
  readonly dead_letters: number;
}

export interface LedgerOptions {
  /** How many ads the catalog has. */
  readonly ads: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** What is to be done before the first process of the ledger runs. */
  readonly prepare?: (ledger: LiveLedger) => Promise<void>;
}

/** Gives `use` a gateway and one actors process. @throws CliError where it is stopped */
export function withLiveLedger<T>(
  bench: Pick<Bench, 'stop' | 'scale'>,
  { ads, settings = {}, prepare }: LedgerOptions,
  use: (ledger: LiveLedger) => Promise<T>,
): Promise<T> {
  return withInstallation(bench, settings, async (installation) => {
    const ledger = new LiveLedger(installation);
    try {
      await registerAds(ledger.pool, ads, bench.stop);
      await prepare?.(ledger);
      await Promise.all([installation.start('gateway'), installation.start('actors')]);
      return await use(ledger);
    } finally {
      await ledger.close();
    }
  });
}

export class LiveLedger {
  readonly installation: BenchInstallation;
  readonly pool: Pool;
  #streams: IngestStreams | undefined;

  constructor(installation: BenchInstallation) {
    this.installation = installation;
    this.pool = new Pool({ connectionString: installation.environment['DATABASE_URL'], max: 2 });
    // A server that ends before this is closed breaks idle connections.
    this.pool.on('error', () => undefined);
  }

  /** The client over which all clicks go. */
  get streams(): IngestStreams {
    this.#streams ??= new IngestStreams(endpoints(this.installation.environment).ingestAddress);
    return this.#streams;
  }

  /** Clicks of a minute of their own. */
  workload(clicks: number, nextAd: () => string): Workload {
    return makeWorkload(clicks, this.installation.nextMinuteMs(), nextAd);
  }

  /**
   * From the first request until all of it is durable, deduplicated and stored in PostgreSQL.
   * @throws CliError where anything else was counted than what was sent
   */
  async count(workload: Workload): Promise<CountedRun> {
    const batches = encodeBatches(workload);
    const before = await this.sums();
    const run = await timedRun(this.installation, workload.clicks.length, async () => {
      this.streams.push(batches);
      await this.streams.drained();
      await this.stored(before.records + workload.clicks.length);
    });
    await this.checkExact(workload, before);
    const { messages } = await this.sums();
    return { ...run, clicksAMessage: workload.clicks.length / (messages - before.messages) };
  }

  /** Resolves when so many records are below the floors in PostgreSQL. */
  async stored(records: number): Promise<void> {
    while ((await this.sums()).records < records) await Bun.sleep(POLL_MS);
  }

  async sums(): Promise<Sums> {
    const { rows } = await this.pool.query(`
      select coalesce(sum(floor), 0)::float8 as messages, coalesce(sum(records), 0)::float8 as records, coalesce(sum(duplicates), 0)::float8 as duplicates,
        coalesce(sum(dead_letters), 0)::float8 as dead_letters
      from shard`);
    return rows[0];
  }

  /** @param before the sums before the workload was sent */
  async checkExact(workload: Workload, before: Sums): Promise<void> {
    const after = await this.sums();
    const { rows } = await this.pool.query(
      `select coalesce(sum(valid), 0)::float8 as valid, coalesce(sum(repeat), 0)::float8 as repeat,
         coalesce(sum(givt + sivt + defective + test), 0)::float8 as other
       from ad_minute where minute = to_timestamp($1::float8 / 1000)`,
      [workload.minuteMs],
    );
    const { duplicates, repeats, clicks } = workload;
    const counted = JSON.stringify({
      records: after.records - before.records,
      duplicates: after.duplicates - before.duplicates,
      deadLetters: after.dead_letters - before.dead_letters,
      ...rows[0],
    });
    const valid = clicks.length - duplicates - repeats;
    const right = { records: clicks.length, duplicates, deadLetters: 0, valid, repeat: repeats, other: 0 };
    if (counted !== JSON.stringify(right))
      throw new CliError(`counted ${counted}, right is ${JSON.stringify(right)}`);
  }

  /** Everything but the streams, as if nothing had been counted. No actors may run. */
  async forget(): Promise<void> {
    await this.pool.query('truncate ad_minute, shard, actor_node, dead_letter');
    await withRedis(this.installation.environment, (redis) => redis.flushall());
  }

  async close(): Promise<void> {
    this.#streams?.close();
    await this.pool.end();
  }
}
