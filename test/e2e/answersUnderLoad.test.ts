/**
 * Answers of all kinds, asked for all the time while clicks flow, owners are killed, late clicks
 * come for settled days, and runs settle and restate: each is held against what was sent. Then what is final stays as
 * it is, and what somebody damages in any table is mended while clicks flow.
 */
import { credentials } from '@grpc/grpc-js';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  catalogClient,
  type IngestClient,
  ingestClient,
  type QueryClient,
  queryClient,
} from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { QueryAggregatesRequest } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { StreamAggregatesResponse__Output as Message } from '../../src/contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import { Random } from '../support/random.ts';
import { wrongRollups } from '../support/rollupCheck.ts';
import { Installation } from './installation.ts';
import { ADS, between, type Field, SentClicks } from './sentClicks.ts';
import { untilStored } from './until.ts';

const LASTS_MS = 12_000;
const DAY_MS = 86_400_000;
const GROUPS: readonly (readonly Field[])[] = [
  [],
  ['country'],
  ['publisher_id', 'country'],
  ['placement_id'],
  ['ad_id', 'device_type'],
  ['ad_id'],
];
const ZONES = ['UTC', 'Asia/Kathmandu', 'America/New_York'];
const TODAY = Math.floor(Date.now() / DAY_MS) * DAY_MS;
/** A day that is settled early and clicked late. */
const PAST = TODAY - 40 * DAY_MS;
const RANGE = { from_ms: PAST - DAY_MS, to_ms: TODAY + DAY_MS };

let installation: Installation;
let pool: Pool;
let ingest: IngestClient;
let query: QueryClient;
let sent: SentClicks;
const random = new Random(11);

beforeAll(async () => {
  const settings = {
    FLUSH_INTERVAL: '300ms',
    SHARDS: '4',
    HEARTBEAT: '500ms',
    LEASE: '1500ms',
    SETTLE_GRACE: '0ms',
    RECONCILE_INTERVAL: 'off',
  };
  installation = await Installation.start(settings, '--actors', '2');
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
  pool.on('error', () => undefined);
  ingest = ingestClient(installation.ingestAddress, 30_000);
  query = queryClient(installation.queryAddress, 60_000);
  sent = new SentClicks(ingest, random);
  const catalog = catalogClient(installation.ingestAddress);
  await catalog.upsertAds({ ads: ADS.map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' })) });
  catalog.close();
}, 240_000);

afterAll(async () => {
  ingest?.close();
  query?.close();
  await pool?.end();
  await installation?.remove();
});

function one<T>(of: readonly T[]): T {
  return of[random.below(of.length)] as T;
}

function anyTime(): number {
  return one([PAST + random.below(DAY_MS), TODAY - random.below(DAY_MS), Date.now(), Date.now()]);
}

type Counted = ReadonlyMap<string, number>;

async function aggregates(
  request: QueryAggregatesRequest,
  fields: readonly Field[],
): Promise<{ found: Counted; arrivedThroughMs: number }> {
  const asked = { ...RANGE, ...request, group_by: [...fields] };
  const { rows, info } = await query.queryAggregates(asked);
  const found = new Map<string, number>();
  for (const { group, ad_id, metrics } of rows) {
    const values = new Map(group.map(({ dimension, value }) => [dimension, value]));
    const key = fields.map((field) => values.get(field) ?? (field === 'ad_id' ? ad_id : 'none')).join('|');
    const counts = Object.entries(metrics ?? {}).filter(([, count]) => typeof count === 'number');
    for (const [name, count] of counts) expect(count, `${key} ${name}`).toBeGreaterThanOrEqual(0);
    found.set(key, (found.get(key) ?? 0) + (metrics?.clicks ?? 0));
  }
  return { found, arrivedThroughMs: info?.arrived_through_ms ?? 0 };
}

async function exported(
  request: QueryAggregatesRequest,
  fields: readonly Field[],
): Promise<{ found: Counted; arrivedThroughMs: number }> {
  let text = '';
  let arrivedThroughMs = 0;
  const asked = { ...RANGE, ...request, group_by: [...fields] };
  for await (const { chunk, manifest } of query.exportAggregates({ query: asked, format: 'NDJSON' })) {
    text += Buffer.from(chunk ?? '').toString();
    arrivedThroughMs = manifest?.info?.arrived_through_ms ?? 0;
  }
  const found = new Map<string, number>();
  for (const line of text.split('\n').filter((some) => some !== '')) {
    const row = JSON.parse(line);
    expect(row.clicks, line).toBeGreaterThanOrEqual(0);
    const key = fields.map((field) => row[field]).join('|');
    found.set(key, (found.get(key) ?? 0) + row.clicks);
  }
  return { found, arrivedThroughMs };
}

async function top(dimension: Field): Promise<{ found: Counted; arrivedThroughMs: number }> {
  const { entries, total, info } = await query.topN({ ...RANGE, dimension, metric: 'clicks', n: 100 });
  const found = new Map(entries.map(({ value, metrics }) => [value, metrics?.clicks ?? 0]));
  expect(total?.clicks).toBe([...found.values()].reduce((sum, count) => sum + count, 0));
  return { found, arrivedThroughMs: info?.arrived_through_ms ?? 0 };
}

async function people(): Promise<{ found: Counted; arrivedThroughMs: number }> {
  const range = { from_ms: PAST, to_ms: PAST + DAY_MS };
  const { rows, info } = await query.queryUniques({ ad_ids: ADS, ...range, granularity: 'DAY' });
  const found = new Map(rows.map(({ ad_id, people }) => [ad_id, people]));
  return { found, arrivedThroughMs: info?.arrived_through_ms ?? 0 };
}

type Asking = readonly [
  what: string,
  by: readonly Field[],
  ask: (by: readonly Field[]) => ReturnType<typeof top>,
];

async function askAll(): Promise<void> {
  const asks: readonly Asking[] = [
    ...GROUPS.map((by) => {
      const asked = { granularity: one(['HOUR', 'DAY', 'MONTH'] as const), time_zone: one(ZONES) };
      const answer = () => one([aggregates, exported])({ ad_ids: ADS, ...asked }, by);
      return [`${asked.granularity} in ${asked.time_zone}`, by, answer] as const;
    }),
    [`all ads`, ['publisher_id'], (by) => aggregates({ granularity: 'HOUR' }, by)],
    [`top`, ['country'], () => top('country')],
    [`top`, ['ad_id'], () => top('ad_id')],
  ];
  for (const [what, by, ask] of asks) {
    const after = sent.length;
    const { found, arrivedThroughMs } = await ask(by);
    sent.hold(what, found, by, { after, arrivedThroughMs });
  }
  const after = sent.length;
  const { found, arrivedThroughMs } = await people();
  const { sure, all } = sent.around({ after, arrivedThroughMs });
  for (const ad of ADS) {
    const peopleOf = (clicks: typeof all) => {
      const past = clicks.filter(({ ad_id, event_time_ms: ms }) => ad_id === ad && ms < PAST + DAY_MS);
      return new Set(past.map(({ user_id }) => user_id)).size;
    };
    between(`people of ${ad}`, peopleOf(sure), found.get(ad) ?? 0, peopleOf(all));
  }
}

/** Follows an ad's new minutes, breaks off now and then, and goes on from where it was. */
async function follow(isOver: () => boolean): Promise<void> {
  const client = new ClickQueryService(installation.queryAddress, credentials.createInsecure());
  const from_ms = TODAY - DAY_MS;
  const shown = new Map<string, number>();
  let resume_token = '';
  while (!isOver()) {
    const call = client.streamAggregates({ ad_ids: ADS, from_ms, resume_token });
    call.on('error', () => undefined);
    let left = 1 + random.below(6);
    for await (const message of call as AsyncIterable<Message>) {
      if (message.snapshot) shown.clear();
      for (const row of message.rows) shown.set(`${row.ad_id} ${row.from_ms}`, row.metrics?.clicks ?? 0);
      resume_token = message.resume_token;
      const arrivedThroughMs = message.info?.arrived_through_ms ?? 0;
      const { sure, all } = sent.around({ after: sent.length, arrivedThroughMs });
      const inside = (clicks: typeof all) => clicks.filter((click) => click.event_time_ms >= from_ms).length;
      const total = [...shown.values()].reduce((sum, count) => sum + count, 0);
      between('stream', inside(sure), total, inside(all));
      if (--left === 0 || isOver()) break;
    }
    call.cancel();
  }
  client.close();
}

async function reconcile(...words: readonly string[]): Promise<string> {
  const { exitCode, output } = await installation.run('reconcile', ...words);
  expect(exitCode, output).toBe(0);
  return output;
}

/** Does the work again and again beside `disturb`, until that is done or one of them fails. */
async function during(disturb: () => Promise<unknown>, ...works: (() => Promise<void>)[]): Promise<void> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  const again = async (work: () => Promise<void>) => {
    while (!isOver) await work().then(() => Bun.sleep(50));
  };
  const following = works.includes(askAll) ? [follow(() => isOver)] : [];
  await Promise.all(
    [disturb().finally(end), ...works.map(again), ...following].map((work) => work.finally(end)),
  );
}

const send = () => sent.send(anyTime);

describe('answers', { timeout: 240_000 }, () => {
  test('are between what surely arrived and what was sent, at every moment', async () => {
    const disturb = async () => {
      const endMs = performance.now() + LASTS_MS;
      do {
        await installation.killOne(one(['actors-1', 'actors-2'])).catch(() => undefined);
        await reconcile(one(['--settle', '--apply']));
      } while (performance.now() < endMs);
    };
    await during(disturb, send, askAll);
    await untilStored(pool, sent.length);
    await reconcile();
    expect(await wrongRollups(pool)).toEqual([]);
    await askAll();
  });

  test('are right again when what was damaged in any table is mended, while clicks flow', async () => {
    const damage = async () => {
      for (const table of [
        'ad_minute',
        'ad_hour',
        'ad_day',
        'shard_minute',
        'ad_dimension',
        'shard_dimension',
      ]) {
        const some = (percent: number, from: number) =>
          `where tableoid::text || ctid::text in
            (select tableoid::text || ctid::text from ${table} order by 1 offset ${from} limit ${percent})`;
        await pool.query(`update ${table} set valid = valid + 3 ${some(5, 0)}`);
        await pool.query(`delete from ${table} ${some(5, 7)}`);
      }
      expect((await installation.run('reconcile')).exitCode).toBe(1);
      await installation.killOne('actors-1').catch(() => undefined);
      await reconcile('--apply');
      await reconcile('--apply');
    };
    await during(damage, send);
    await untilStored(pool, sent.length);
    expect(await reconcile()).not.toContain('restated');
    expect(await wrongRollups(pool)).toEqual([]);
    await askAll();
  });

  test('of a closed month stay as they are, whoever clicks late', async () => {
    const month = new Date(PAST).toISOString().slice(0, 7);
    const [year = 0, number = 0] = month.split('-').map(Number);
    const range = { from_ms: Date.UTC(year, number - 1), to_ms: Date.UTC(year, number) };
    await reconcile('--settle');
    const closed = await installation.run('close-period', month);
    expect(closed.exitCode, closed.output).toBe(0);
    const answers = async () => {
      const asked = { ...range, ad_ids: ADS, granularity: 'DAY' } satisfies QueryAggregatesRequest;
      const found = [];
      for (const by of GROUPS)
        found.push((await aggregates(asked, by)).found, (await exported(asked, by)).found);
      return [...found, (await people()).found].map((counts) => [...counts].sort());
    };
    const before = await answers();
    for (let late = 0; late < 4; late++) await sent.send(() => PAST + random.below(DAY_MS));
    await untilStored(pool, sent.length);
    expect(await answers()).toEqual(before);
    await reconcile('--apply');
    await reconcile();
    expect(await answers()).toEqual(before);
    expect(await wrongRollups(pool)).toEqual([]);
    const { rows } = await pool.query(
      `select sum(valid)::int as late, (select deadlocks::int from pg_stat_database where datname = current_database())
       from adjustment`,
    );
    expect(rows).toEqual([{ late: 100, deadlocks: 0 }]);
  });
});
