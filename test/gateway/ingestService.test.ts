/** ClickIngestService through the wire: an ACCEPTED click is durable, and a stream answers in order, whatever happens. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type IngestStream, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { ClickIngestService } from '../../src/adapters/grpc/contract.ts';
import { plainIngest } from '../../src/adapters/ingest/plainIngest.ts';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { BatchIngestClicksResponse__Output as BatchResponse } from '../../src/contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import { CLICKS_A_REQUEST_MAX } from '../../src/domain/limits.ts';
import { MonthlySalt } from '../../src/domain/monthlySalt.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { AdDirectory } from '../../src/gateway/adDirectory.ts';
import { ingestService } from '../../src/gateway/ingestService.ts';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, uuid7At } from '../support/clicks.ts';
import { NOTHING_FOUND } from '../support/finder.ts';
import { callFrozen } from '../support/frozenGrpcClient.ts';
import { serve } from '../support/grpcServer.ts';
import { adOf, MemoryCatalog } from '../support/memoryCatalog.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { until } from '../support/until.ts';

const STREAM_REQUESTS_MAX = 16;
const STREAM = ClickIngestService.service.StreamIngestClicks;

async function setUp() {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(1);
  const routing = new MemoryRoutingStream(1, RULES).open();
  const catalog = new MemoryCatalog(adOf('ad-1'));
  const log = new SilentLog();
  const draining = new AbortController();
  const folder = new MemorySpoolFolder();
  const { clickLog } = await clickPathOver(streams, routing, { folder, log });
  const parts = {
    ads: new AdDirectory(catalog, Date.now, new SilentLog()),
    clickLog,
    userKeySalt: new MonthlySalt(new Uint8Array(16)),
    finder: NOTHING_FOUND,
    clock: () => NOON_MS,
    log,
    draining: draining.signal,
  };
  const address = await serve((server) =>
    server.addService(
      // As the gateway serves it: plain requests are read the short way.
      plainIngest(ClickIngestService.service, {
        userKeySalt: parts.userKeySalt,
        finder: parts.finder,
        clock: parts.clock,
      }),
      ingestService(parts),
    ),
  );
  const client = ingestClient(address);
  onTestFinished(() => client.close());
  const standing = () =>
    streams
      .messages(0)
      .flatMap(({ bytes }) => decodeClickBatch(bytes)?.records ?? [])
      .map(({ facts }) => formatUuid(facts?.clickId ?? new Uint8Array(16)));
  return { address, streams, folder, catalog, log, client, standing, draining };
}

let clicks = 0;
function clickOf(changes: Click = {}): Click {
  clicks += 1;
  return { click_id: formatUuid(uuid7At(NOON_MS, clicks)), ad_id: 'ad-1', ...changes };
}

/** Reads a stream to its end: the replies, and the error that ended it, if any. */
function heardOf(stream: IngestStream) {
  const replies: BatchResponse[] = [];
  const ended = Promise.withResolvers<{ code: status; details: string } | undefined>();
  stream.on('data', (reply: BatchResponse) => replies.push(reply));
  stream.on('error', (error: unknown) => ended.resolve(error as { code: status; details: string }));
  stream.on('end', () => ended.resolve(undefined));
  return { replies, ended: ended.promise };
}

describe('one click', () => {
  it('is accepted with a receipt that says where it stands', async () => {
    const { client, standing } = await setUp();
    const click = clickOf();
    expect(await client.ingestClick({ click })).toEqual({
      result: {
        status: 'ACCEPTED',
        reason: '',
        receipt: { shard: 0, stream_incarnation: 'made-1', stream_sequence: 1, index: 0 },
      },
    });
    expect(standing()).toEqual([click.click_id ?? '']);
  });

  it('that is missing is an error of the call', async () => {
    const { client } = await setUp();
    await expect(client.ingestClick({})).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'click is missing: it must be a Click',
    });
  });
});

describe('a batch', () => {
  it('of more clicks than are read at all is refused whole, with their number, and costs no decoding', async () => {
    const { client, standing } = await setUp();
    const tooMany = { clicks: Array.from({ length: 10_001 }, () => ({})) };
    const refused = {
      code: status.INVALID_ARGUMENT,
      details: 'clicks has 10001 entries: a request may hold 5000',
    };
    await expect(client.batchIngestClicks(tooMany)).rejects.toMatchObject(refused);
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    stream.write({ clicks: [clickOf()] });
    stream.write(tooMany);
    expect(await ended).toMatchObject(refused);
    expect(replies.length).toBe(1);
    expect(standing().length).toBe(1);
    // The gateway never saw them: what it counts as waiting is back to nothing, and it goes on.
    expect((await client.batchIngestClicks({ clicks: [clickOf()] })).results).toMatchObject([
      { status: 'ACCEPTED' },
    ]);
  });

  it('answers each click in its place: the wrong ones are rejected with a reason, the others accepted', async () => {
    const { client, standing } = await setUp();
    const given = [clickOf(), clickOf({ click_id: 'x' }), clickOf({ ad_id: 'ad-9' }), clickOf()];
    const { results } = await client.batchIngestClicks({ source: 's', clicks: given });
    expect(results.map((result) => result.status)).toEqual(['ACCEPTED', 'REJECTED', 'REJECTED', 'ACCEPTED']);
    expect(results.map(({ receipt }) => receipt?.index)).toEqual([0, undefined, undefined, 1]);
    expect(results[1]?.reason).toContain('click_id "x"');
    expect(results[2]?.reason).toContain('ad_id "ad-9"');
    expect(standing()).toEqual([given[0]?.click_id, given[3]?.click_id]);
  });

  it('with more clicks than allowed has the ones beyond rejected and the others accepted', async () => {
    const { client, standing } = await setUp();
    const given = Array.from({ length: CLICKS_A_REQUEST_MAX + 2 }, () => clickOf());
    const { results } = await client.batchIngestClicks({ clicks: given });
    expect(results.length).toBe(given.length);
    expect(results.slice(0, CLICKS_A_REQUEST_MAX).every((result) => result.status === 'ACCEPTED')).toBe(true);
    for (const result of results.slice(CLICKS_A_REQUEST_MAX))
      expect(result).toMatchObject({ status: 'REJECTED', reason: expect.stringContaining('more than 5000') });
    expect(standing().length).toBe(CLICKS_A_REQUEST_MAX);
  });

  it('of a source with too long a name is refused', async () => {
    const { client } = await setUp();
    await expect(
      client.batchIngestClicks({ source: 'é'.repeat(65), clicks: [clickOf()] }),
    ).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'source must be at most 128 bytes, it has 130',
    });
  });

  it('is ACCEPTED without a receipt where it waits in the spool', async () => {
    const { client, streams } = await setUp();
    await client.batchIngestClicks({ clicks: [clickOf()] });
    streams.trouble.failNext('publish', 'before');
    const { results } = await client.batchIngestClicks({ clicks: [clickOf(), clickOf()] });
    expect(results).toMatchObject([
      { status: 'ACCEPTED', receipt: null },
      { status: 'ACCEPTED', receipt: null },
    ]);
  });

  it('some click of which is on no disk is UNAVAILABLE as a whole, and may be sent again', async () => {
    const { client, streams, folder, standing } = await setUp();
    await client.batchIngestClicks({ clicks: [clickOf()] });
    const before = standing().length;
    const given = [clickOf(), clickOf({ click_id: 'x' })];
    for (const border of ['before', 'after'] as const) {
      streams.trouble.failNext('publish', border);
      folder.trouble.failNext('append', 'before');
      await expect(client.batchIngestClicks({ clicks: given })).rejects.toMatchObject({
        code: status.UNAVAILABLE,
        details: expect.stringContaining('send them again with the same click_ids'),
      });
    }
    const { results } = await client.batchIngestClicks({ clicks: given });
    expect(results.map((result) => result.status)).toEqual(['ACCEPTED', 'REJECTED']);
    // The one whose answer was lost stands there as well: the same click, a duplicate.
    expect(new Set(standing().slice(before))).toEqual(new Set([given[0]?.click_id]));
  });

  it('is not accepted where it is not known whether its ads exist', async () => {
    const { client, catalog, standing } = await setUp();
    catalog.trouble.failNext('read', 'before');
    await expect(client.batchIngestClicks({ clicks: [clickOf()] })).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(standing()).toEqual([]);
  });
});

describe('a stream', () => {
  it('answers in the order of its requests, also where a later one was done first', async () => {
    const { client, catalog } = await setUp();
    const hold = catalog.trouble.hold('read', 'before');
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    // The first waits for the catalog; the second has nothing to wait for.
    stream.write({ clicks: [clickOf(), clickOf()] });
    await hold.reached;
    stream.write({ clicks: [clickOf({ click_id: 'x' })] });
    stream.write({ clicks: [] });
    stream.end();
    await Bun.sleep(10);
    expect(replies).toEqual([]);
    hold.release();
    expect(await ended).toBeUndefined();
    expect(replies.map(({ results }) => results.map((result) => result.status))).toEqual([
      ['ACCEPTED', 'ACCEPTED'],
      ['REJECTED'],
      [],
    ]);
  });

  it('answers everything to a client that has said its last', async () => {
    const { client, streams, standing } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    for (let request = 0; request < 50; request++) stream.write({ clicks: [clickOf()] });
    stream.end();
    await hold.reached;
    hold.release();
    expect(await ended).toBeUndefined();
    expect(replies.length).toBe(50);
    expect(replies.flatMap(({ results }) => results).every((result) => result.status === 'ACCEPTED')).toBe(
      true,
    );
    expect(standing().length).toBe(50);
  });

  it('is not read while too many requests wait for their replies, and goes on afterwards (I14)', async () => {
    const { client, catalog, standing } = await setUp();
    let lookups = 0;
    const gate = Promise.withResolvers<void>();
    catalog.trouble.decide = async (_operation, border) => {
      if (border !== 'before') return;
      lookups += 1;
      await gate.promise;
    };
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    for (let request = 0; request < 60; request++) stream.write({ clicks: [clickOf()] });
    stream.end();
    await until(() => lookups >= STREAM_REQUESTS_MAX);
    await Bun.sleep(20);
    expect(lookups).toBe(STREAM_REQUESTS_MAX);
    gate.resolve();
    expect(await ended).toBeUndefined();
    expect(replies.length).toBe(60);
    expect(standing().length).toBe(60);
  });

  it('ends with UNAVAILABLE where a request cannot be confirmed, after the replies of those before it', async () => {
    const { client, streams, folder } = await setUp();
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    stream.write({ clicks: [clickOf()] });
    await until(() => replies.length === 1);
    streams.trouble.failNext('publish', 'before');
    folder.trouble.failNext('append', 'before');
    stream.write({ clicks: [clickOf()] });
    stream.write({ clicks: [clickOf()] });
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(replies.length).toBe(1);
    // The next stream of the same client finds everything in order.
    const next = client.streamIngestClicks();
    const heard = heardOf(next);
    next.write({ clicks: [clickOf()] });
    next.end();
    expect(await heard.ended).toBeUndefined();
    expect(heard.replies.length).toBe(1);
  });

  it('ends with INVALID_ARGUMENT where a request is wrong as a whole', async () => {
    const { client } = await setUp();
    const stream = client.streamIngestClicks();
    const { ended } = heardOf(stream);
    stream.write({ source: 'x'.repeat(129), clicks: [] });
    expect(await ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('whose client cancels does no harm to others, and its clicks stay where they are', async () => {
    const { client, streams, standing, log } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const stream = client.streamIngestClicks();
    const { ended } = heardOf(stream);
    for (let request = 0; request < 20; request++) stream.write({ clicks: [clickOf()] });
    await hold.reached;
    stream.cancel();
    expect(await ended).toMatchObject({ code: status.CANCELLED });
    hold.release();
    const click = clickOf();
    expect(await client.ingestClick({ click })).toMatchObject({ result: { status: 'ACCEPTED' } });
    await until(() => standing().includes(click.click_id ?? ''));
    await Bun.sleep(5);
    expect(log.lines).toEqual([]);
  });

  it('of a gateway that goes down is answered as far as it was read, then told to go elsewhere', async () => {
    const { client, streams, standing, draining } = await setUp();
    const hold = streams.trouble.hold('publish', 'before');
    const stream = client.streamIngestClicks();
    const { replies, ended } = heardOf(stream);
    for (let request = 0; request < 3; request++) stream.write({ clicks: [clickOf()] });
    await hold.reached;
    await Bun.sleep(10);
    draining.abort();
    await Bun.sleep(5);
    expect(replies).toEqual([]);
    hold.release();
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(replies.length).toBe(3);
    expect(standing().length).toBe(3);
    const late = heardOf(client.streamIngestClicks());
    expect(await late.ended).toMatchObject({ code: status.UNAVAILABLE });
  });

  it('whose client does not read its replies is not read either: what waits is bounded (I14)', async () => {
    const { address, draining, catalog } = await setUp();
    let requests = 0;
    catalog.trouble.decide = (_operation, border) => {
      if (border === 'before') requests += 1;
    };
    // 200 rejections to each request, some 26 kB; the ad that no other request names shows that it was read.
    const wrong = Array.from({ length: 200 }, () => ({ click_id: 'x' }));
    const sent = await callFrozen(address, STREAM.path, (request) =>
      STREAM.requestSerialize({ clicks: [...wrong, clickOf({ ad_id: `ad-${request}` })] }),
    );
    await until(() => requests > STREAM_REQUESTS_MAX);
    await Bun.sleep(100);
    // Those that wait, and as many replies as the server's own buffer has places for.
    expect(requests).toBeLessThanOrEqual(2 * STREAM_REQUESTS_MAX + 8);
    expect(sent).toBeGreaterThan(requests + 8);
    draining.abort();
  });
});
