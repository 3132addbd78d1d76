/**
 * A thousand dashboards that follow ads, with real processes, and one more that does not read: the others are told in
 * time, nothing gathers for the one, and who comes back with its token is told what it missed.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type ClientReadableStream, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { catalogClient, type IngestClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { StreamAggregatesResponse__Output as Message } from '../../src/contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import { MINUTE_MS, minuteOf } from '../../src/domain/windowCounts.ts';
import { askFrozen } from '../support/frozenGrpcClient.ts';
import { Installation } from './installation.ts';
import { until } from './until.ts';

const ADS = 100;
const STREAMS = 1_000;
const ADS_OF_STREAM = 5;
/** Several streams a connection, as dashboards behind one proxy have them. */
const CONNECTIONS = 10;
const PAST_MINUTES = 60;
const SECONDS = 16;

const adIds = Array.from({ length: ADS }, (_, index) => `ad-${index}`);

/** What a stream was told, put together as a dashboard does. */
class Dashboard {
  readonly adIds: readonly string[];
  readonly #call: ClientReadableStream<Message>;
  readonly #clicks = new Map<string, number>();
  messages = 0;
  snapshots = 0;
  token = '';
  /** Why it ended. */
  ending = '';

  constructor(
    client: InstanceType<typeof ClickQueryService>,
    adIds: readonly string[],
    fromMs: number,
    token = '',
  ) {
    this.adIds = adIds;
    this.#call = client.streamAggregates({ ad_ids: [...adIds], from_ms: fromMs, resume_token: token });
    this.#call.on('error', ({ message }) => {
      this.ending = message;
    });
    this.#call.on('data', ({ rows, snapshot, resume_token }: Message) => {
      this.messages += 1;
      if (snapshot) {
        this.snapshots += 1;
        this.#clicks.clear();
      }
      this.token = resume_token;
      for (const { ad_id, from_ms, metrics } of rows)
        this.#clicks.set(`${ad_id} ${from_ms}`, metrics?.clicks ?? 0);
    });
  }

  /** Of all its ads. */
  get clicks(): number {
    return [...this.#clicks.values()].reduce((sum, clicks) => sum + clicks, 0);
  }

  end(): void {
    this.#call.cancel();
  }
}

describe('streams', { timeout: 240_000 }, () => {
  let installation: Installation;
  let ingest: IngestClient;
  let fromMs: number;
  /** Of each ad alike. */
  let clicksOfAd = 0;

  beforeAll(async () => {
    installation = await Installation.start({ FLUSH_INTERVAL: '3s' });
    ingest = ingestClient(installation.ingestAddress);
    const catalog = catalogClient(installation.ingestAddress);
    const destination_url = 'https://shop.example/{ad_id}';
    await catalog.upsertAds({ ads: adIds.map((ad_id) => ({ ad_id, destination_url })) });
    catalog.close();
    fromMs = minuteOf(Date.now()) - PAST_MINUTES * MINUTE_MS;
    for (let minute = 0; minute < PAST_MINUTES; minute++) await click(fromMs + minute * MINUTE_MS);
  }, 120_000);

  afterAll(async () => {
    ingest?.close();
    await installation?.remove();
  });

  /** One click of every ad. */
  async function click(timeMs: number): Promise<void> {
    const clicks = adIds.map((ad_id) => ({
      ad_id,
      click_id: Bun.randomUUIDv7('hex', timeMs),
      event_time_ms: timeMs,
      user_agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    }));
    const { results } = await ingest.batchIngestClicks({ clicks });
    expect(results.filter(({ status }) => status === 'ACCEPTED')).toHaveLength(ADS);
    clicksOfAd += 1;
  }

  function connect() {
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    const client = new ClickQueryService(installation.queryAddress, credentials.createInsecure(), options);
    onTestFinished(() => client.close());
    return client;
  }

  async function memoryOfQuery(): Promise<number> {
    const processes = JSON.parse(await readFile(path.join(installation.directory, 'processes.json'), 'utf8'));
    const state = await readFile(`/proc/${processes.query.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(state)?.[1]) / 1024;
  }

  test('of a thousand are told in time and exactly beside one that does not read, in memory that stays', async () => {
    const connections = Array.from({ length: CONNECTIONS }, connect);
    const beforeMiB = await memoryOfQuery();
    const encode = ClickQueryService.service.StreamAggregates.requestSerialize;
    // Its snapshot is larger than what a client that never opens its window may be sent.
    await askFrozen(
      installation.queryAddress,
      '/clickledger.v1.ClickQueryService/StreamAggregates',
      encode({ ad_ids: adIds, from_ms: fromMs }),
    );
    const dashboards = Array.from({ length: STREAMS }, (_, index) => {
      const ads = Array.from({ length: ADS_OF_STREAM }, (_, place) => `ad-${(index + place * 7) % ADS}`);
      return new Dashboard(connections[index % CONNECTIONS] as (typeof connections)[number], ads, fromMs);
    });
    onTestFinished(() => dashboards.forEach((dashboard) => void dashboard.end()));
    const areExact = () => dashboards.every(({ clicks }) => clicks === clicksOfAd * ADS_OF_STREAM);
    await until('every stream has its snapshot', async () => areExact());
    const [firstMiB, startMessages, startMs] = [
      await memoryOfQuery(),
      dashboards.map((one) => one.messages),
      Date.now(),
    ];
    const lateMs: number[] = [];
    let middleMiB = 0;
    for (let second = 0; second < SECONDS; second++) {
      await click(Date.now());
      const answeredMs = Date.now();
      await until('every stream shows the click', async () => areExact());
      lateMs.push(Date.now() - answeredMs);
      if (second === SECONDS / 2) middleMiB = await memoryOfQuery();
    }
    const lastMiB = await memoryOfQuery();
    const elapsed = (Date.now() - startMs) / 1_000;
    const told = dashboards.map(({ messages }, index) => messages - (startMessages[index] ?? 0));
    process.stderr.write(
      `query process: ${beforeMiB.toFixed(0)} MiB before, ${firstMiB.toFixed(0)} with ${STREAMS} streams, ${middleMiB.toFixed(0)} half way, ${lastMiB.toFixed(0)} after ${elapsed.toFixed(0)} s; all ${STREAMS} show a click after ${lateMs.toSorted((a, b) => a - b).join(', ')} ms; messages ${Math.min(...told)} to ${Math.max(...told)}\n`,
    );
    // Whoever is exact after every click was told each in its turn; and nobody more often than once a second.
    expect(Math.max(...told)).toBeLessThanOrEqual(Math.ceil(elapsed) + 1);
    expect(lastMiB).toBeLessThan(middleMiB * 1.2);
    expect(dashboards.every(({ snapshots }) => snapshots === 1)).toBe(true);
  });

  test('that break off go on from their token, and are told a snapshot where it is of nobody', async () => {
    const client = connect();
    const ads = adIds.slice(0, 3);
    const before = new Dashboard(client, ads, fromMs);
    await until('the snapshot is there', async () => before.clicks === clicksOfAd * 3);
    before.end();
    await click(Date.now());
    const after = new Dashboard(client, ads, fromMs, before.token);
    await until('the change is told', async () => after.clicks > 0);
    expect(after.snapshots).toBe(0);
    after.end();
    const stranger = new Dashboard(client, ads, fromMs, `1.${'0'.repeat(64)}`);
    await until('everything is told', async () => stranger.clicks === clicksOfAd * 3);
    expect(stranger.snapshots).toBe(1);
    stranger.end();
  });

  test('end when the query service does, and are told everything by the next', async () => {
    const client = connect();
    const before = new Dashboard(client, adIds.slice(0, 3), fromMs);
    await until('the snapshot is there', async () => before.clicks === clicksOfAd * 3);
    await installation.stopService('query');
    expect(before.ending).toMatch(/UNAVAILABLE: .*ask again with the resume_token/);
    await click(Date.now());
    let after = new Dashboard(client, before.adIds, fromMs, before.token);
    await until('everything is told', async () => {
      if (after.messages === 0) after = new Dashboard(client, before.adIds, fromMs, before.token);
      await Bun.sleep(500);
      return after.clicks === clicksOfAd * 3;
    });
    expect(after.snapshots).toBe(1);
    after.end();
  });
});
