/** While JetStream does not answer, clicks wait in the gateway's spool; nobody is held up and nothing is lost. */
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

  test('people are redirected and ad servers told ACCEPTED; it waits in the spool, and each click is billed once', async () => {
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
      expect(await Promise.all(urls.slice(10).map(follow))).toEqual(Array(10).fill(302));
      const { results } = await ingest.batchIngestClicks(batch);
      expect(results).toEqual(Array(30).fill({ status: 'ACCEPTED', reason: '', receipt: null }));
      const ready = await fetch(`${installation.httpUrl}/readyz`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({
        status: 'JetStream does not answer; clicks go to the spool',
        spool_bytes: expect.toSatisfy((bytes: number) => bytes > 0),
      });
    } finally {
      goOn();
    }
    await spoolDrained();
    // The same clicks again are duplicates, wherever they waited meanwhile.
    const { results } = await ingest.batchIngestClicks(batch);
    expect(results.every(({ status }) => status === 'ACCEPTED')).toBe(true);
    await counts.settled('away', Date.now());
    const totals = await counts.totals(['away'], fromMs, fromMs + 3 * DAY_MS);
    expect(totals).toMatchObject({ clicks: 20 + 30, repeat_clicks: 0 });
  });

  async function spoolDrained(): Promise<void> {
    const deadline = performance.now() + 60_000;
    for (;;) {
      const state = (await (await fetch(`${installation.httpUrl}/readyz`)).json()) as { spool_bytes: number };
      if (state.spool_bytes === 0) return;
      if (performance.now() > deadline) throw new Error(`the spool holds ${state.spool_bytes} bytes still`);
      await Bun.sleep(50);
    }
  }
});
