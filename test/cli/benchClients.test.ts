/** The clients of the bench: what they send is what they say, and what they are told is not passed over. */
import { afterEach, describe, expect, test } from 'vitest';
import { ClickIngestService } from '../../src/adapters/grpc/contract.ts';
import { adId, uniformAds, zipfAds } from '../../src/cli/bench/benchAds.ts';
import { IngestStreams } from '../../src/cli/bench/ingestStreams.ts';
import { OpenLoopSender } from '../../src/cli/bench/openLoopSender.ts';
import { encodeBatches, makeWorkload } from '../../src/cli/bench/workload.ts';
import { seededRandom } from '../../src/cli/demo/sampleTraffic.ts';
import { parseUuid7, uuid7TimeMs } from '../../src/domain/uuid7.ts';
import { type GatewayScript, ScriptedGateway } from './scriptedGateway.ts';

const MINUTE = Date.UTC(2026, 10, 22, 12, 30);
const { requestDeserialize } = ClickIngestService.service.StreamIngestClicks;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe('a workload', () => {
  const workload = makeWorkload(12_500, MINUTE, uniformAds(10, seededRandom(1)));
  const sent = encodeBatches(workload).flatMap(({ bytes }) => requestDeserialize(bytes).clicks);

  test('is sent as it says', () => {
    expect(sent.map(({ ad_id, click_id, impression_id }) => [ad_id, click_id, impression_id])).toEqual(
      workload.clicks.map(({ adId, clickId, impressionId }) => [adId, clickId, impressionId]),
    );
    expect(sent.every(({ user_agent, referrer }) => user_agent !== '' && referrer !== '')).toBe(true);
    expect(encodeBatches(workload).map(({ clicks }) => clicks)).toEqual([5_000, 5_000, 2_500]);
  });

  test('has as many duplicates and repeats as it says', () => {
    const clickIds = new Set(sent.map(({ click_id }) => click_id));
    const impressions = new Set(sent.map(({ ad_id, impression_id }) => `${ad_id} ${impression_id}`));
    expect(workload.duplicates).toBe(250);
    expect(sent.length - clickIds.size).toBe(workload.duplicates);
    expect(clickIds.size - impressions.size).toBe(workload.repeats);
    expect(workload.repeats).toBeGreaterThan(1_000);
  });

  test('has ids of its minute that no other workload has', () => {
    const other = makeWorkload(12_500, MINUTE, uniformAds(10, seededRandom(1)));
    const ids = new Set(workload.clicks.map(({ clickId }) => clickId));
    for (const { clickId, impressionId } of other.clicks) {
      expect(ids.has(clickId)).toBe(false);
      expect(uuid7TimeMs(parseUuid7(impressionId) ?? new Uint8Array())).toBe(MINUTE);
    }
  });

  test('by Zipf reaches seldom ads too, and each rank is another ad', () => {
    // A random number just below the next rank's: 0, then ever closer to 1.
    let number = 0;
    const nextAd = zipfAds(1_000, () => number);
    const seen = new Set<string>();
    for (; number < 1; number += 1e-5) seen.add(nextAd());
    expect(seen.size).toBe(1_000);
  });
});

describe('the ingest client', () => {
  const clientOf = async (script: GatewayScript = {}) => {
    const gateway = await ScriptedGateway.start(script);
    closers.push(() => gateway.stop());
    const streams = new IngestStreams(gateway.address);
    closers.push(() => streams.close());
    return { gateway, streams };
  };
  const uniform = makeWorkload(20_000, MINUTE, uniformAds(10, seededRandom(1)));

  test('is done when every click of every request was accepted', async () => {
    const { gateway, streams } = await clientOf();
    streams.push(encodeBatches(uniform));
    await streams.drained();
    expect(gateway.clicks).toHaveLength(20_000);
  });

  test('fails where one click of many was not', async () => {
    const ads = Array.from({ length: 10 }, (_, number) => ({
      ad_id: adId(number),
      campaign_id: '',
      advertiser_id: '',
      destination_url: '',
      status: 'ACTIVE' as const,
    }));
    const { streams } = await clientOf({ ads, checksAds: true });
    const clicks = uniform.clicks.map((click, number) =>
      number === 7_777 ? { ...click, adId: 'unknown' } : click,
    );
    streams.push(encodeBatches({ clicks }));
    await expect(streams.drained()).rejects.toThrow('4999 of 5000 clicks of a request were accepted');
  });

  test('fails where the gateway ends a stream', async () => {
    const { streams } = await clientOf({ deed: (request) => (request === 3 ? 'end' : 'answer') });
    streams.push(encodeBatches(uniform));
    await expect(streams.drained()).rejects.toThrow('ended');
  });
});

describe('the open-loop sender', () => {
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: click.example\r\n\r\n');

  test('counts a latency from when its request was due, not from when it could be sent', async () => {
    const answerMs = 20;
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async () => {
        await Bun.sleep(answerMs);
        return new Response(null, { status: 302, headers: { Location: 'https://shop.example' } });
      },
    });
    closers.push(() => server.stop(true));
    // One connection, and all but one request wait for those before.
    const sender = await OpenLoopSender.open(server.port ?? 0, 1);
    closers.push(() => sender.close());
    const { latencies, perSecond } = await sender.run(Array(10).fill(request), 1_000);
    expect(latencies).toHaveLength(10);
    // Timers may fire within the millisecond before.
    expect(latencies.at(-1)).toBeGreaterThan(9 * (answerMs - 1));
    expect(perSecond).toBeLessThan(1_000 / (answerMs - 1));
  });

  test('fails on an answer that is no redirect', async () => {
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => new Response('', { status: 503 }),
    });
    closers.push(() => server.stop(true));
    const sender = await OpenLoopSender.open(server.port ?? 0, 2);
    closers.push(() => sender.close());
    await expect(sender.run([request], 1_000)).rejects.toThrow('HTTP/1.1 503');
  });
});
