/**
 * One ad that is hammered, with real processes: it is spread over more shards and drawn together again, every click of it
 * is counted once through all of that, and the others stay where they are.
 */
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CatalogClient,
  catalogClient,
  type IngestClient,
  ingestClient,
} from '../../src/adapters/grpc/clients.ts';
import { connectNats } from '../../src/adapters/nats/connection.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

const HOT_AD_RATE = 200;
const COLD_ADS = ['cold-0', 'cold-1', 'cold-2', 'cold-3'];
const DAY_MS = 86_400_000;
const HAMMER_EVERY_MS = 100;
const CLICKS_A_REQUEST = 150;

describe('a hot ad', { timeout: 180_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let catalog: CatalogClient;
  let ingest: IngestClient;
  let pool: Pool;
  let nats: Awaited<ReturnType<typeof connectNats>>;
  let routing: RoutingLog;
  let fromMs: number;
  /** By click_id: where its receipts say that it stands. */
  const shardsOf = new Map<string, Set<number>>();
  const sums = { valid: 0, repeats: 0, cold: 0, records: 0 };

  beforeAll(async () => {
    installation = await Installation.start({
      HOT_AD_RATE: String(HOT_AD_RATE),
      HOT_AD_CALM: '8s',
      // Nothing is stored before this test asks for it: what is answered until then comes from the owners.
      FLUSH_INTERVAL: '10m',
    });
    counts = new Counts(installation);
    catalog = catalogClient(installation.ingestAddress);
    ingest = ingestClient(installation.ingestAddress);
    pool = new Pool({ connectionString: await installation.databaseUrl() });
    nats = await connectNats(await installation.natsUrl(), 'test');
    routing = new RoutingLog(nats.jetstream(), await nats.jetstreamManager());
    await routing.read();
    fromMs = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
    const destination_url = 'https://shop.example/{ad_id}';
    await catalog.upsertAds({ ads: ['hot', ...COLD_ADS].map((ad_id) => ({ ad_id, destination_url })) });
  }, 120_000);

  afterAll(async () => {
    counts?.close();
    catalog?.close();
    ingest?.close();
    await nats?.close();
    await pool?.end();
    await installation?.remove();
  });

  function clickAt(timeMs: number, ad_id = 'hot'): Click {
    return {
      ad_id,
      click_id: Bun.randomUUIDv7('hex', timeMs),
      impression_id: Bun.randomUUIDv7('hex', timeMs),
      event_time_ms: Date.now(),
    };
  }

  async function send(clicks: readonly Click[]): Promise<void> {
    const { results } = await ingest.batchIngestClicks({ source: 'test', clicks: [...clicks] });
    sums.records += clicks.length;
    for (const [index, { click_id = '' }] of clicks.entries()) {
      const { status, receipt } = results[index] ?? {};
      expect(status).toBe('ACCEPTED');
      const shards = shardsOf.get(click_id) ?? new Set();
      shardsOf.set(click_id, shards.add(receipt?.shard ?? -1));
    }
  }

  /** Clicks of the hot ad on impressions of now, some of the cold ones among them, until something holds. */
  async function hammer(holds: () => boolean): Promise<Click[]> {
    const sent: Click[] = [];
    const deadline = performance.now() + 60_000;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error('it is not spread');
      const nowMs = Date.now();
      const hot = Array.from({ length: CLICKS_A_REQUEST }, () => clickAt(nowMs));
      const cold = COLD_ADS.map((adId) => clickAt(nowMs, adId));
      await Promise.all([send([...hot, ...cold]), Bun.sleep(HAMMER_EVERY_MS), routing.read()]);
      sent.push(...hot);
      sums.valid += hot.length;
      sums.cold += 1;
    }
    return sent;
  }

  const fanOut = () => routing.table.newestFanOut('hot');
  const placesOf = (clicks: readonly Click[]) =>
    new Set(clicks.flatMap(({ click_id = '' }) => [...(shardsOf.get(click_id) ?? [])]));
  const another = ({ click_id: _, ...click }: Click, timeMs: number): Click => ({
    ...click,
    click_id: Bun.randomUUIDv7('hex', timeMs),
  });

  test('is spread and drawn together, and every click is counted once', async () => {
    const startMs = performance.now();
    const early = await hammer(() => fanOut().fanOut > 1);
    const spread = fanOut();
    const perSecond = (1_000 * early.length) / (performance.now() - startMs);
    // A doubling more or less: the pace is this machine's.
    expect(spread.fanOut).toBeGreaterThan(perSecond / HOT_AD_RATE / 2);
    expect(spread.fanOut).toBeLessThan((4 * perSecond) / HOT_AD_RATE);
    const home = routing.table.shardsAt('hot', 0);
    expect(placesOf(early)).toEqual(new Set(home));

    // Impressions from just before the change and from after it, together.
    const before = Array.from({ length: 200 }, () => clickAt(spread.fromMs - 1));
    const after = Array.from({ length: 800 }, (_, number) => clickAt(spread.fromMs + number));
    await send([...before, ...after]);
    sums.valid += before.length + after.length;
    expect(placesOf(before)).toEqual(new Set(home));
    expect(placesOf(after)).toEqual(new Set(routing.table.shardsAt('hot', spread.fromMs)));
    expect(placesOf(after).size).toBe(spread.fanOut);

    const { output, exitCode } = await installation.run('hot-ads', '--once', '--json');
    expect(exitCode, output).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      gateways: 1,
      hot_ad_rate: HOT_AD_RATE,
      ads: expect.arrayContaining([
        expect.objectContaining({
          ad_id: 'hot',
          fan_out: 1,
          next_fan_out: spread.fanOut,
          next_from_ms: spread.fromMs,
        }),
      ]),
    });

    // Retries of clicks from both sides of the change, and second clicks on impressions from both.
    const again = [...early.slice(0, 300), ...before.slice(0, 100), ...after.slice(0, 100)];
    await send(again);
    const repeats = [...early.slice(-100), ...after.slice(-100)].map((click) =>
      another(click, spread.fromMs + 2_000),
    );
    await send(repeats);
    sums.repeats += repeats.length;

    await until('the ad is drawn together', async () => {
      await routing.read();
      return fanOut().fanOut === 1;
    });
    const calm = fanOut();
    expect(calm.fromMs).toBeGreaterThan(spread.fromMs);
    const late = Array.from({ length: 100 }, (_, number) => clickAt(calm.fromMs + number));
    await send([...late, ...after.slice(0, 50)]);
    sums.valid += late.length;
    expect(placesOf(late)).toEqual(new Set(home));

    // However often it was sent: one click, one shard.
    for (const shards of shardsOf.values()) expect(shards.size).toBe(1);
    expect(routing.table.spreadAds.size).toBe(0);
    for (const adId of COLD_ADS) expect(routing.table.fanOutsOfAdSince(adId, 0)).toBe(0);
    expect(routing.table.fanOutsOfAdSince('hot', 0)).toBe(2);

    await counts.settled('hot', Date.now());
    const expected = {
      clicks: sums.valid,
      repeat_clicks: sums.repeats,
      gross_clicks: sums.valid + sums.repeats,
    };
    const coldExpected = { clicks: sums.cold * COLD_ADS.length, repeat_clicks: 0 };
    // All of it from the owners of the sub-shards: nothing is stored.
    expect((await pool.query('select from ad_minute')).rowCount).toBe(0);
    expect(await counts.totals(['hot'], fromMs, fromMs + 3 * DAY_MS)).toMatchObject(expected);
    expect(await counts.totals(COLD_ADS, fromMs, fromMs + 3 * DAY_MS)).toMatchObject(coldExpected);

    await installation.stopService('actors');
    await untilStored(pool, sums.records);
    const { rows } = await pool.query(
      "select sum(valid)::float8 as clicks, sum(repeat)::float8 as repeats from ad_minute where ad_id = 'hot'",
    );
    expect(rows).toEqual([{ clicks: sums.valid, repeats: sums.repeats }]);
    expect(await counts.totals(['hot'], fromMs, fromMs + 3 * DAY_MS)).toMatchObject(expected);
    const goOn = await installation.pause('gateway');
    const unheard = await installation.run('hot-ads', '--once').finally(goOn);
    expect([unheard.exitCode, unheard.output]).toEqual([
      2,
      'no gateway announces its rates: none runs on these servers\n',
    ]);
    const reconciled = await installation.run('reconcile');
    expect(reconciled.exitCode, reconciled.output).toBe(0);
  });
});
