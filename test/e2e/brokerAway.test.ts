/** While JetStream does not answer, nobody is told that a click was taken; when it answers again, everything goes on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CatalogClient,
  catalogClient,
  type IngestClient,
  ingestClient,
} from '../../src/adapters/grpc/clients.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';

const BROWSER =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
const DAY_MS = 86_400_000;

describe('JetStream away', { timeout: 120_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let catalog: CatalogClient;
  let ingest: IngestClient;
  let fromMs: number;

  beforeAll(async () => {
    installation = await Installation.start({ PUBLISH_TIMEOUT: '300ms' });
    counts = new Counts(installation);
    catalog = catalogClient(installation.ingestAddress);
    ingest = ingestClient(installation.ingestAddress);
    fromMs = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
    await catalog.upsertAds({ ads: [{ ad_id: 'away', destination_url: 'https://shop.example/away' }] });
  });

  afterAll(async () => {
    counts?.close();
    catalog?.close();
    ingest?.close();
    await installation?.remove();
  });

  test('a click URL is 503, a gRPC call UNAVAILABLE; sent again, each click is counted once', async () => {
    const { output } = await installation.run(
      'sign',
      'away',
      '--count',
      '20',
      '--base-url',
      installation.httpUrl,
    );
    const urls = output.trim().split('\n');
    const follow = async (url: string) =>
      (await fetch(url, { redirect: 'manual', headers: { 'user-agent': BROWSER } })).status;
    const batch = {
      source: 'test',
      clicks: Array.from({ length: 30 }, () => ({ click_id: Bun.randomUUIDv7(), ad_id: 'away' })),
    };
    expect(await Promise.all(urls.slice(0, 10).map(follow))).toEqual(Array(10).fill(302));

    const goOn = await installation.pause('nats-server');
    try {
      expect(await Promise.all(urls.slice(10).map(follow))).toEqual(Array(10).fill(503));
      await expect(ingest.batchIngestClicks(batch)).rejects.toThrow(/UNAVAILABLE.*with the same click_ids/);
      expect((await fetch(`${installation.httpUrl}/readyz`)).status).toBe(503);
      expect((await fetch(`${installation.httpUrl}/healthz`)).status).toBe(200);
    } finally {
      goOn();
    }

    await retry(async () =>
      expect(await Promise.all(urls.slice(10).map(follow))).toEqual(Array(10).fill(302)),
    );
    const { results } = await ingest.batchIngestClicks(batch);
    expect(results.every(({ status }) => status === 'ACCEPTED')).toBe(true);
    await counts.settled('away', Date.now());
    // What was refused may be on the stream all the same: then the person who came again is a repeat. Billed once.
    expect((await counts.totals(['away'], fromMs, fromMs + 3 * DAY_MS)).clicks).toBe(20 + 30);
  });
});

/** The broker has much to answer after a pause; the first tries may still come too early. */
async function retry(attempt: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(100);
    }
  }
}
