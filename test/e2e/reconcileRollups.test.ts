/**
 * Rollups on a whole installation: what owners add to them is what a replay of the streams counts, whatever becomes of a
 * click later; and what is wrong or missing in one is named and mended.
 */
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogClient, type IngestClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { uuid7At } from '../support/clicks.ts';
import { Installation } from './installation.ts';
import { untilStored } from './until.ts';

const TIMEOUT_MS = 180_000;
const HORIZON_MS = 2_000;
/** Listed by rule set 2 only. */
const PAGE_TEST = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/117.0.0.0 Safari/537.36 GTmetrix';
const TABLES = ['ad_hour', 'ad_day', 'shard_minute', 'ad_dimension', 'shard_dimension'];

/** Clicks of the minute that goes on are not judged again. */
const startMs = Date.now() - 120_000;
let installation: Installation;
let pool: Pool;
let ingest: IngestClient;
let sent = 0;

beforeAll(async () => {
  installation = await Installation.start({
    FLUSH_INTERVAL: '100ms',
    SHARDS: '2',
    RECONCILE_INTERVAL: 'off',
    DEDUP_HORIZON: `${HORIZON_MS}ms`,
    CLICK_URL_TTL: '1s',
    MAX_FUTURE_SKEW: '1s',
  });
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
  pool.on('error', () => undefined);
  ingest = ingestClient(installation.ingestAddress);
  const catalog = catalogClient(installation.ingestAddress);
  const ads = ['shoes', 'hats'].map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' }));
  await catalog.upsertAds({ ads });
  catalog.close();
}, TIMEOUT_MS);

afterAll(async () => {
  ingest?.close();
  await pool?.end();
  await installation?.remove();
});

function click(number: number, ad_id: string, country: string, more: Click = {}): Click {
  return {
    click_id: formatUuid(uuid7At(startMs, number)),
    ad_id,
    country,
    device_type: 'phone',
    publisher_id: 'paper',
    event_time_ms: startMs,
    ...more,
  };
}

async function send(...clicks: Click[]): Promise<void> {
  const { results } = await ingest.batchIngestClicks({ source: 'test', clicks });
  expect(results.map(({ status }) => status)).toEqual(clicks.map(() => 'ACCEPTED'));
  sent += clicks.length;
  await untilStored(pool, sent);
}

async function reconcile(...words: readonly string[]) {
  const { exitCode, output } = await installation.run('reconcile', '--json', ...words);
  const lines = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  const of = (kind: string) => lines.filter((line) => line.kind === kind);
  return { exitCode, output, windows: of('window'), rollups: of('rollup'), summary: of('summary')[0] };
}

/** `[valid, repeat, givt]` of an ad by the country of a pair. */
async function byCountry(adId: string): Promise<Record<string, number[]>> {
  const { rows } = await pool.query(
    `select case kind when 1 then value else value2 end as country, kind, valid::int, repeat::int, givt::int from ad_dimension
     where ad_id = $1 and kind in (1, 2) order by 1, 2`,
    [adId],
  );
  return Object.fromEntries(
    rows.map(({ country, kind, valid, repeat, givt }) => [`${country} ${kind}`, [valid, repeat, givt]]),
  );
}

/** All that is in the rollups, whoever added it. */
async function everything(): Promise<unknown[]> {
  const parts = TABLES.map(async (table) => {
    const { rows } = await pool.query(`select to_jsonb(t) - 'shard' - 'revision' as row from ${table} as t`);
    const sums = new Map<string, number>();
    for (const { row } of rows) {
      const { valid, repeat, givt, sivt, defective, test, ...key } = row;
      for (const [name, count] of Object.entries({ valid, repeat, givt, sivt, defective, test })) {
        const at = JSON.stringify([key, name]);
        sums.set(at, (sums.get(at) ?? 0) + Number(count));
      }
    }
    return [...sums].filter(([, count]) => count !== 0).sort();
  });
  return Promise.all(parts);
}

test('what owners added is what a replay counts', { timeout: TIMEOUT_MS }, async () => {
  await send(
    click(1, 'shoes', 'DE', { impression_id: formatUuid(uuid7At(startMs, 91)) }),
    click(2, 'shoes', 'DE', { user_agent: PAGE_TEST }),
    click(3, 'shoes', 'AT'),
    click(4, 'hats', 'DE'),
    click(5, 'hats', ''),
  );
  expect(await byCountry('shoes')).toEqual({
    'AT 1': [1, 0, 0],
    'AT 2': [1, 0, 0],
    'DE 1': [2, 0, 0],
    'DE 2': [2, 0, 0],
  });
  const { exitCode, summary, output } = await reconcile();
  expect(output).not.toContain('not decided');
  expect(exitCode).toBe(0);
  expect(summary).toMatchObject({ rollups_differing: 0 });
  expect(summary.rollups).toBeGreaterThan(10);
});

test('what is wrong by hand in each of them is named, and mended once', { timeout: TIMEOUT_MS }, async () => {
  const right = await everything();
  for (const table of TABLES) {
    // Of another kind each: where an ad's row and that of all ads are wrong alike, the sum is right.
    const row = { ad_dimension: 'where kind = 1', shard_dimension: 'where kind = 2' }[table] ?? '';
    const { rowCount } = await pool.query(
      `update ${table} set givt = givt + 1 where ctid in (select ctid from ${table} ${row} limit 1)`,
    );
    expect(rowCount).toBe(1);
  }
  const dry = await reconcile();
  expect(dry.exitCode).toBe(1);
  expect(dry.windows).toEqual([]);
  expect(new Set(dry.rollups.map(({ rollup }) => rollup))).toEqual(new Set(TABLES));
  expect(dry.rollups.map(({ restated }) => restated)).not.toContain(true);
  const counted = await reconcile('--counts-only');
  expect(new Set(counted.rollups.map(({ rollup }) => rollup))).toEqual(
    new Set(['ad_hour', 'ad_day', 'shard_minute']),
  );
  expect((await installation.run('reconcile', '--counts-only', '--apply')).output).toContain(
    'right is without --apply',
  );
  const shown = await installation.run('reconcile', '--apply');
  expect(shown.exitCode).toBe(0);
  expect(shown.output).toMatch(/ad_hour +(shoes|hats) .*givt 1 -> 0 +not the sum of its minutes/);
  expect(shown.output).toMatch(/ad_dimension +(shoes|hats) .*not what the stream says/);
  expect(await everything()).toEqual(right);
  expect((await reconcile()).summary).toMatchObject({ rollups_differing: 0 });
});

test('a repeat after the horizon is taken out of its country, too', { timeout: TIMEOUT_MS }, async () => {
  await Bun.sleep(HORIZON_MS + 2_500);
  await send(click(6, 'shoes', 'AT', { impression_id: formatUuid(uuid7At(startMs, 91)) }));
  expect(await byCountry('shoes')).toMatchObject({ 'AT 1': [2, 0, 0], 'AT 2': [2, 0, 0] });
  const { exitCode, rollups, windows } = await reconcile('--apply');
  expect(exitCode).toBe(0);
  expect(windows).toMatchObject([{ late: 1, restated: true }]);
  expect(rollups.map(({ dimensions, restated }) => [dimensions.country, restated])).toContainEqual([
    'AT',
    true,
  ]);
  expect(new Set(rollups.map(({ rollup }) => rollup))).toEqual(new Set(['ad_dimension']));
  expect(await byCountry('shoes')).toMatchObject({ 'AT 1': [1, 1, 0], 'AT 2': [1, 1, 0], 'DE 1': [2, 0, 0] });
  expect((await reconcile()).exitCode).toBe(0);
});

test('a click that is judged again moves in its country from valid to invalid', {
  timeout: TIMEOUT_MS,
}, async () => {
  expect((await reconcile('--rules', '2', '--apply')).exitCode).toBe(0);
  expect(await byCountry('shoes')).toMatchObject({ 'AT 1': [1, 1, 0], 'DE 1': [1, 0, 1], 'DE 2': [1, 0, 1] });
  expect((await reconcile()).exitCode).toBe(0);
});

test('what was counted before there were rollups is divided by a reconcile', {
  timeout: TIMEOUT_MS,
}, async () => {
  const right = await everything();
  await pool.query('truncate ad_dimension, shard_dimension');
  expect((await reconcile()).exitCode).toBe(1);
  expect((await reconcile('--apply')).exitCode).toBe(0);
  expect(await everything()).toEqual(right);
  expect((await reconcile()).exitCode).toBe(0);
});
