/**
 * Answers from settled minutes on a whole installation: remembered in both memories and by both query services, and yet
 * the first one after a restatement has committed is the new one. Callers who are gone cost PostgreSQL nothing. And a client
 * without any file of ours finds out over reflection what may be asked, and asks it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  catalogClient,
  ingestClient,
  type QueryClient,
  queryClient,
} from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import { freePort } from '../../src/cli/stack/freePort.ts';
import type { QueryAggregatesRequest } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { uuid7At } from '../support/clicks.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { startRedis } from '../support/redis.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');
/** Debian's, where its gRPC packages are; another Python may come first on the PATH. */
const PYTHON = '/usr/bin/python3';
const SEPTEMBER = Date.UTC(2025, 8, 1);
const DAY_MS = 86_400_000;
const QUERY = 'clickledger.v1.ClickQueryService';
const ASKED: QueryAggregatesRequest = {
  ad_ids: ['shoes'],
  from_ms: SEPTEMBER,
  to_ms: SEPTEMBER + 2 * DAY_MS,
  granularity: 'MINUTE',
};

/** A second query service beside the one that `up` runs. */
class SecondQuery {
  readonly client: QueryClient;
  readonly metricsUrl: string;
  readonly #child: ReturnType<typeof spawn>;

  private constructor(child: ReturnType<typeof spawn>, port: number, metricsPort: number) {
    this.#child = child;
    this.client = queryClient(`127.0.0.1:${port}`);
    this.metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  }

  static async start(installation: Installation, cacheUrl: string): Promise<SecondQuery> {
    const [port, metricsPort, webPort] = await Promise.all([freePort(), freePort(), freePort()]);
    const child = spawn(process.execPath, [path.join(PROJECT, 'src/query/main.ts')], {
      env: {
        ...process.env,
        NATS_URL: await installation.natsUrl(),
        DATABASE_URL: await installation.databaseUrl(),
        CLICKLEDGER_QUERY_PORT: String(port),
        CLICKLEDGER_QUERY_METRICS_PORT: String(metricsPort),
        CLICKLEDGER_WEB_PORT: String(webPort),
        CLICKLEDGER_CACHE_REDIS_URL: cacheUrl,
      },
      stdio: 'ignore',
    });
    const second = new SecondQuery(child, port, metricsPort);
    await second.client.ready(30_000);
    return second;
  }

  async stop(): Promise<void> {
    this.client.close();
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}

let installation: Installation;
let cacheServer: OwnServer;
let cacheRedis: Redis;
let pool: Pool;
let first: QueryClient;
let second: SecondQuery;
let sent = 0;

beforeAll(async () => {
  cacheServer = await startRedis();
  cacheRedis = new Redis(cacheServer.url);
  cacheRedis.on('error', () => undefined);
  await cacheRedis.config('SET', 'maxmemory', '64mb');
  await cacheRedis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  installation = await Installation.start({
    FLUSH_INTERVAL: '100ms',
    SHARDS: '4',
    SETTLE_GRACE: '0ms',
    RECONCILE_INTERVAL: 'off',
    CLICKLEDGER_CACHE_REDIS_URL: cacheServer.url,
  });
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 4 });
  pool.on('error', () => undefined);
  first = queryClient(installation.queryAddress);
  second = await SecondQuery.start(installation, cacheServer.url);
  const catalog = catalogClient(installation.ingestAddress);
  await catalog.upsertAds({
    ads: ['shoes', 'hats'].map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' })),
  });
  catalog.close();
  await clicks('shoes', SEPTEMBER, SEPTEMBER + 60_000, SEPTEMBER + DAY_MS);
  await clicks('hats', SEPTEMBER);
  const arrived = Date.now();
  await until('all shards have counted so far', async () => {
    const { rows } = await pool.query('select min(arrived_through_ms)::float8 as arrived from shard');
    return rows[0].arrived >= arrived;
  });
  const settled = await installation.run('reconcile', '--settle');
  expect(settled.exitCode, settled.output).toBe(0);
}, 180_000);

afterAll(async () => {
  first?.close();
  await second?.stop();
  await pool?.end();
  cacheRedis?.disconnect();
  await installation?.remove();
  await cacheServer?.stop();
});

/** Clicks of these moments, until they are stored. */
async function clicks(adId: string, ...times: readonly number[]): Promise<void> {
  const list = times.map((ms) => {
    sent += 1;
    return { ad_id: adId, click_id: formatUuid(uuid7At(Date.now(), sent)), event_time_ms: ms };
  });
  const ingest = ingestClient(installation.ingestAddress);
  await ingest.batchIngestClicks({ source: 'test', clicks: list });
  ingest.close();
  await untilStored(pool, sent);
}

/** Valid clicks of the asked range. */
async function asked(client: QueryClient): Promise<number> {
  const { rows } = await client.queryAggregates(ASKED);
  return rows.reduce((sum, { metrics }) => sum + (metrics?.clicks ?? 0), 0);
}

/** How often rows of settled minutes came from where, so far. */
async function sources(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(url)).text();
  const found = text.matchAll(/^clickledger_query_settled_reads_total\{source="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, source, reads]) => [source, Number(reads)]));
}

describe('a settled answer', { timeout: 120_000 }, () => {
  test('is read once: then both query services remember it, and the second had it from the first', async () => {
    expect(await asked(first)).toBe(3);
    await until('it is shared', async () => (await cacheRedis.dbsize()) === 1);
    expect(await asked(first)).toBe(3);
    expect(await asked(second.client)).toBe(3);
    expect(await asked(second.client)).toBe(3);
    expect(await sources(installation.queryMetricsUrl)).toMatchObject({ database: 1, process: 1, shared: 0 });
    expect(await sources(second.metricsUrl)).toMatchObject({ database: 0, process: 1, shared: 1 });
  });

  test('changes with the commit of a late click, in both', async () => {
    await clicks('shoes', SEPTEMBER + DAY_MS);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([4, 4]);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([4, 4]);
  });

  test('that was altered by hand is right again when the restatement has committed', async () => {
    // Nobody tells of what is altered by hand; what was remembered of it is dropped with the Redis and a new process.
    await pool.query(`update ad_minute set valid = valid + 100 where ad_id = 'shoes' and minute = $1`, [
      new Date(SEPTEMBER),
    ]);
    await cacheRedis.flushall();
    await installation.stopService('query');
    await first.ready(30_000);
    await second.stop();
    second = await SecondQuery.start(installation, cacheServer.url);
    expect(await asked(first)).toBe(104);
    await until('it is shared', async () => (await cacheRedis.dbsize()) === 1);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([104, 104]);
    const applied = await installation.run('reconcile', '--apply');
    expect(applied.output).toContain('1 restated');
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([4, 4]);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([4, 4]);
  });

  test('is answered all the same while the shared Redis is away', async () => {
    await cacheServer.kill();
    await clicks('shoes', SEPTEMBER);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([5, 5]);
    expect(await Promise.all([asked(first), asked(second.client)])).toEqual([5, 5]);
    await cacheServer.restart();
  });
});

test('the statement of a call whose deadline is over ends in PostgreSQL', { timeout: 60_000 }, async () => {
  // A question that waits for a lock is one that takes long.
  const locker = await pool.connect();
  await locker.query('begin; lock table ad_hour, ad_minute in access exclusive mode');
  const waiting = async () => {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where application_name = 'query' and state = 'active' and wait_event_type = 'Lock'`,
    );
    return rowCount ?? 0;
  };
  const client = new ClickQueryService(installation.queryAddress, credentials.createInsecure());
  const range = { ...ASKED, from_ms: SEPTEMBER + 60_000 };
  const failed = new Promise((done) => {
    client.queryAggregates(range, { deadline: Date.now() + 2_000 }, (error) => done(error));
  });
  await until('its statement waits', async () => (await waiting()) === 1);
  expect(await failed).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await until('its statement is gone, though the lock is not', async () => (await waiting()) === 0);
  await locker.query('rollback');
  locker.release();
  client.close();
  expect(await asked(first)).toBe(5);
});

test('a client that knows nothing of the contract lists what is served, and calls it', {
  timeout: 60_000,
}, async () => {
  const calls = [
    [QUERY, 'QueryAggregates', { ...ASKED, granularity: 'DAY' }],
    [QUERY, 'TopN', { dimension: 'ad_id', from_ms: ASKED.from_ms, to_ms: ASKED.to_ms }],
    [QUERY, 'QueryAggregates', { ...ASKED, from_ms: 1 }],
  ];
  const child = spawn(PYTHON, [
    path.join(import.meta.dirname, 'reflecting_client.py'),
    installation.queryAddress,
  ]);
  child.stdin.end(JSON.stringify(calls));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => {
      output += text.toString();
    });
  }
  await once(child, 'close');
  expect(output).toMatch(/^\{.*\}\n$/);
  const { served, answered } = JSON.parse(output);
  expect(Object.keys(served)).toEqual(expect.arrayContaining([QUERY, 'clickledger.v1.AuditService']));
  const proto = await readFile(path.join(PROJECT, 'proto/clickledger/v1/query.proto'), 'utf8');
  expect(served[QUERY]).toEqual([...proto.matchAll(/^ {2}rpc (\w+)/gm)].map(([, name]) => name));
  const [days, top, refused] = answered;
  expect(days.rows.map((row: { metrics: { clicks: string } }) => row.metrics.clicks)).toEqual(['3', '2']);
  expect(days.rows[0].status).toBe('SETTLED');
  expect(
    top.entries.map(({ value, metrics }: { value: string; metrics: { clicks: string } }) => [
      value,
      metrics.clicks,
    ]),
  ).toEqual([
    ['shoes', '5'],
    ['hats', '1'],
  ]);
  expect(refused).toEqual(['INVALID_ARGUMENT', expect.stringContaining('from_ms 1 is wrong')]);
});
