/** Input that nobody should send: nothing crashes, the error says what is wrong, and good clicks around it count. */
import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { describe, expect } from 'vitest';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { IngestResult__Output as IngestResult } from '../../src/contract/generated/clickledger/v1/IngestResult.ts';
import { Random } from '../support/random.ts';
import type { Cluster } from './support/cluster.ts';
import { FaultGroup, type FaultScene } from './support/faultTest.ts';
import { BROWSER } from './support/httpFollowers.ts';
import { ofAd, onDatabase, readCounts } from './support/ledger.ts';
import { byLength } from './support/length.ts';
import { callWith, frame, sendBytes } from './support/rawCalls.ts';

const BATCH = '/clickledger.v1.ClickIngestService/BatchIngestClicks';
const GARBAGE_MESSAGES = 100;
const REQUEST_LINES = byLength(2_000, 10_000);
const SOCKETS = 50;
const LARGE_BYTES = 16 * 1024 * 1024;
const YEAR_2100_MS = Date.UTC(2100, 0);

describe('input', () => {
  const faults = new FaultGroup();

  /** Good clicks go on before, meanwhile and after; the same gateway is there in the end. */
  function inputTest(name: string, input: (scene: FaultScene) => Promise<void>): void {
    faults.test(name, async (scene) => {
      const { pid } = scene.cluster.gateway;
      scene.load.start();
      await scene.load.flowing();
      await input(scene);
      await scene.load.flowing();
      expect(scene.cluster.gateway).toMatchObject({ pid, isRunning: true });
    });
  }

  inputTest('bytes that are no protobuf, and frames that are none', async ({ cluster }) => {
    const call = (body: Uint8Array) => callWith(cluster.ingestAddress, BATCH, body);
    // Field 2 says that it has 100 bytes, and has one.
    const truncated = Buffer.from([0x12, 100, 1]);
    expect(await call(frame(truncated))).toMatchObject({
      status: status.INTERNAL,
      message: expect.stringMatching(/deserializ/i),
    });
    expect((await call(frame(truncated, 3, true))).status).not.toBe(status.OK);
    expect((await call(frame(truncated, 1_000))).status).not.toBe(status.OK);
    for (let message = 0; message < GARBAGE_MESSAGES; message += 1)
      await call(frame(randomBytes(message * 7)));
    const port = Number(cluster.ingestAddress.split(':')[1]);
    for (let connection = 0; connection < SOCKETS; connection += 1) await sendBytes(port, randomBytes(200));
  });

  inputTest('a message of 16 MiB', async ({ cluster, load }) => {
    const [ad_id = ''] = load.plan.adIds;
    const click = { click_id: Bun.randomUUIDv7(), ad_id, referrer: 'x'.repeat(LARGE_BYTES) };
    const client = ingestClient(cluster.ingestAddress);
    await expect(client.batchIngestClicks({ source: 'fault', clicks: [click] })).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/larger than max/),
    });
    client.close();
  });

  inputTest('thousands of random request lines', async ({ cluster }) => {
    const random = new Random(randomBytes(4).readUInt32LE());
    let left = REQUEST_LINES;
    const sender = async () => {
      while (left-- > 0) {
        const answer = await sendBytes(cluster.httpPort, randomRequest(random));
        // Refused, or not answered at all; 505 is an HTTP version that does not exist.
        expect(answer).toMatch(/^$|^HTTP\/1\.1 (200|4\d\d|505) /);
      }
    };
    await Promise.all(Array.from({ length: SOCKETS }, sender));
  });

  inputTest('parameters twice, percent-encoded and with line breaks', async ({ cluster, load }) => {
    const { adId, url } = load.newClickUrl();
    const adIdAgain = `&%61dId=${adId}`;
    expect(await refusal(url + adIdAgain)).toMatchObject({ code: 400, field: 'adId' });
    expect(await refusal(`${url}&signature=`)).toMatchObject({ code: 400, field: 'signature' });
    const broken = (name: string) => url.replace(new RegExp(`(${name}=[^&]*)`), '$1%0d%0aSet-Cookie:%20a=b');
    expect(await refusal(broken('adId'))).toMatchObject({ code: 400, field: 'adId', cookie: null });
    expect(await refusal(broken('impressionId'))).toMatchObject({
      code: 400,
      field: 'impressionId',
      cookie: null,
    });
    const rawLineBreak = url.replace(/^http:\/\/[^/]*/, '').replace('&', '\r\nSet-Cookie: a=b\r\n&');
    expect(await sendBytes(cluster.httpPort, `GET ${rawLineBreak} HTTP/1.1\r\nHost: x\r\n\r\n`)).not.toMatch(
      /^set-cookie/im,
    );
    // Every byte of it as %XX says the same, and counts.
    const encoded = url.replace(`adId=${adId}`, `adId=${percentEncode(adId)}`);
    await load.followers.follow(adId, encoded, 1);
  });

  inputTest('UUIDs of another version', async ({ cluster, load }) => {
    const [ad_id = ''] = load.plan.adIds;
    const version4 = crypto.randomUUID();
    const results = await ingest(cluster, [
      { ad_id, click_id: version4 },
      { ad_id, click_id: Bun.randomUUIDv7(), impression_id: version4 },
      { ad_id, click_id: 'no uuid' },
    ]);
    expect(results).toMatchObject([
      { status: 'REJECTED', reason: expect.stringMatching(/^click_id .*UUIDv7/) },
      { status: 'REJECTED', reason: expect.stringMatching(/^impression_id .*UUIDv7/) },
      { status: 'REJECTED', reason: expect.stringMatching(/^click_id "no uuid".*UUIDv7/) },
    ]);
    const { url } = load.newClickUrl();
    const changed = url.replace(/impressionId=[^&]*/, `impressionId=${version4}`);
    expect(await refusal(changed)).toMatchObject({ code: 400, field: 'impressionId' });
  });

  inputTest('times of 1970 and of 2100', async ({ cluster, afterwards }) => {
    const ad_id = `times-${randomBytes(4).toString('hex')}`;
    const catalog = catalogClient(cluster.ingestAddress);
    await catalog.upsertAds({ ads: [{ ad_id, destination_url: 'https://shop.example/' }] });
    catalog.close();
    const now = () => Bun.randomUUIDv7();
    const future = { ad_id, click_id: Bun.randomUUIDv7('hex', YEAR_2100_MS) };
    const results = await ingest(cluster, [
      { ad_id, click_id: now(), event_time_ms: 1 },
      { ad_id, click_id: now(), event_time_ms: YEAR_2100_MS },
      { ad_id, click_id: now(), impression_id: Bun.randomUUIDv7('hex', 1) },
      { ad_id, click_id: now(), impression_id: Bun.randomUUIDv7('hex', YEAR_2100_MS) },
      future,
      future,
      { ad_id, click_id: now(), event_time_ms: -1 },
    ]);
    expect(results.slice(0, 6).map((result) => result.status)).toEqual(Array(6).fill('ACCEPTED'));
    expect(results[6]).toMatchObject({ status: 'REJECTED', reason: expect.stringMatching(/^event_time_ms/) });
    afterwards(async () => {
      const stored = await onDatabase(cluster, (client) => readCounts(client, [ad_id]));
      expect(ofAd(stored, ad_id)).toEqual({ valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 5, test: 0 });
    });
  });
});

async function ingest(cluster: Cluster, clicks: Click[]): Promise<IngestResult[]> {
  const client = ingestClient(cluster.ingestAddress);
  try {
    return (await client.batchIngestClicks({ source: 'fault', clicks })).results;
  } finally {
    client.close();
  }
}

/** How the gateway refuses a URL. */
async function refusal(url: string): Promise<{ code: number; field: unknown; cookie: string | null }> {
  const response = await fetch(url, { redirect: 'manual', headers: { 'user-agent': BROWSER } });
  const body = (await response.json()) as { field?: unknown };
  return { code: response.status, field: body.field, cookie: response.headers.get('set-cookie') };
}

function percentEncode(text: string): string {
  return Buffer.from(text)
    .toHex()
    .replaceAll(/../g, (byte) => `%${byte}`);
}

/** A request as a fuzzer makes it: bytes, or words of HTTP in a wrong order. */
function randomRequest(random: Random): Uint8Array | string {
  if (random.chance(0.3)) return Buffer.concat([randomBytes(random.below(300)), Buffer.from('\r\n\r\n')]);
  const words = [
    'GET',
    'HEAD',
    'POST',
    '/click',
    '?',
    'adId=',
    '&',
    'signature=%',
    '%0',
    '\0',
    '\t',
    ' ',
    '  ',
  ];
  words.push(
    'HTTP/1.1',
    'HTTP/9.9',
    '\r\n',
    'Host: x',
    'Content-Length: -1',
    ':',
    'x'.repeat(5_000),
    '/../',
    '*',
  );
  let line = random.chance(0.5) ? 'GET /click?' : '';
  for (let word = random.below(12); word > 0; word -= 1) line += random.pick(words);
  return `${line}${random.chance(0.5) ? ' HTTP/1.1\r\nHost: x' : ''}\r\n\r\n`;
}
