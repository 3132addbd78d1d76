/**
 * Poison on the streams: what cannot be decoded or judged ends as a dead letter, everything around it is counted, and
 * what was only on the wrong shard is counted once after a redrive.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { clickSubject, listShards } from '../../src/adapters/nats/clickStreams.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { recordOf, uuid7At } from '../support/clicks.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';

const AD = 'poisoned';
const DAY_MS = 86_400_000;
const WAIT_MS = 30_000;

describe('poison', { timeout: 180_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let broker: Broker;
  let routing: RoutingLog;
  let nowMs: number;
  let right: number;
  let wrong: number;

  beforeAll(async () => {
    installation = await Installation.start({ FLUSH_INTERVAL: '100ms' });
    counts = new Counts(installation);
    nowMs = Date.now();
    await sendOneThroughTheGateway();
    broker = await openBroker(await installation.natsUrl());
    routing = new RoutingLog(broker.client, broker.manager);
    await routing.read();
    const shards = await listShards(broker.manager);
    right = routing.table.route(click(0));
    wrong = (right + 1) % shards.length;
  });

  afterAll(async () => {
    counts?.close();
    await broker?.connection.close();
    await installation?.remove();
  });

  /** It raises closed_until over the times of the clicks below. */
  async function sendOneThroughTheGateway(): Promise<void> {
    const [catalog, ingest] = [
      catalogClient(installation.ingestAddress),
      ingestClient(installation.ingestAddress),
    ];
    await catalog.upsertAds({ ads: [{ ad_id: AD, destination_url: 'https://shop.example/' }] });
    const { results } = await ingest.batchIngestClicks({
      source: 'test',
      clicks: [{ click_id: Bun.randomUUIDv7(), ad_id: AD }],
    });
    expect(results[0]?.status).toBe('ACCEPTED');
    catalog.close();
    ingest.close();
  }

  function click(number: number, timeMs = nowMs): ClickRecord {
    return recordOf({
      adId: AD,
      clickId: uuid7At(timeMs, number),
      impressionId: uuid7At(timeMs, 1_000 + number),
      eventTimeMs: timeMs,
      receivedMs: timeMs,
    });
  }

  /** Straight on the stream, as no gateway does; the message's sequence. */
  async function publish(shard: number, ...records: Uint8Array[]): Promise<number> {
    const bytes = encodeClickBatch(routing.table.sequence, records);
    return (await broker.client.publish(clickSubject(shard), bytes)).seq;
  }

  async function countedClicks(): Promise<{ valid: number; gross: number }> {
    await counts.settled(AD, Date.now());
    const today = Math.floor(nowMs / DAY_MS) * DAY_MS;
    const { clicks, gross_clicks } = await counts.totals([AD], today, today + 2 * DAY_MS);
    return { valid: clicks, gross: gross_clicks };
  }

  async function letters(): Promise<Record<string, unknown>[]> {
    const { output } = await installation.run('dead-letters', 'list', '--json');
    return output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  }

  async function lettersWhenStored(count: number): Promise<Record<string, unknown>[]> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const found = await letters();
      if (found.length >= count || performance.now() > deadline) return found;
    }
  }

  test('is kept with its position and reason, and the rest is counted, the misplaced after a redrive', async () => {
    expect(await countedClicks()).toEqual({ valid: 1, gross: 1 });
    const none = await installation.run('dead-letters', 'list');
    expect(none).toEqual({ exitCode: 0, output: 'no dead letters\n' });

    const noBatch = (await broker.client.publish(clickSubject(right), 'no batch')).seq;
    const whole = encodeClickRecord(click(2));
    const cut = whole.subarray(0, whole.length / 2);
    const mixed = await publish(right, encodeClickRecord(click(1)), cut);
    const misplaced = encodeClickRecord(click(3));
    const elsewhere = await publish(wrong, misplaced);

    const found = await lettersWhenStored(3);
    const place = (shard: number, stream_sequence: number, index: number) => ({
      shard,
      stream_sequence,
      index,
    });
    expect(found).toHaveLength(3);
    expect(found).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...place(right, noBatch, 0),
          reason: 'undecodable',
          bytes: btoa('no batch'),
        }),
        expect.objectContaining({ ...place(right, mixed, 1), reason: 'undecodable', bytes: cut.toBase64() }),
        expect.objectContaining({
          ...place(wrong, elsewhere, 0),
          reason: 'misrouted',
          ad_id: AD,
          click_id: formatUuid(click(3).clickId),
          bytes: misplaced.toBase64(),
        }),
      ]),
    );
    expect(await countedClicks()).toEqual({ valid: 2, gross: 2 });

    const first = await installation.run('dead-letters', 'redrive', '--all');
    expect(first.exitCode).toBe(1);
    expect(first.output).toContain(`shard ${right}, sequence ${noBatch}, index 0: still undecodable`);
    expect(first.output).toContain(`shard ${right}, sequence ${mixed}, index 1: still undecodable`);
    expect(first.output).toContain(
      `shard ${wrong}, sequence ${elsewhere}, index 0: redriven to shard ${right}, sequence ${mixed + 1}`,
    );
    expect(first.output).toContain('1 redriven, 2 still unreadable, 0 left');
    expect(await countedClicks()).toEqual({ valid: 3, gross: 3 });

    const words = ['dead-letters', 'redrive', '--shard', `${wrong}`, '--sequence', `${elsewhere}`];
    expect(await installation.run(...words)).toEqual({
      exitCode: 0,
      output: '0 redriven, 0 still unreadable, 0 left (1 redriven before)\n',
    });
    // As when it was killed before the mark, and the broker has forgotten the id since: the fold knows the click.
    expect(await publish(right, misplaced)).toBe(mixed + 2);
    expect(await countedClicks()).toEqual({ valid: 3, gross: 3 });
    expect(await letters()).toHaveLength(3);
  });

  test('that a later raise of closed_until allows is redriven then, and not before', async () => {
    const before = await countedClicks();
    const aheadMs = nowMs + 3_600_000;
    const early = await publish(wrong, encodeClickRecord(click(4, aheadMs)));
    await lettersWhenStored(4);
    const words = ['dead-letters', 'redrive', '--shard', `${wrong}`, '--sequence', `${early}`];
    const refused = await installation.run(...words);
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain('left: it needs a closed_until of ');
    expect(await countedClicks()).toEqual(before);

    await routing.read();
    await routing.append({ kind: 'closed_until', untilMs: aheadMs + 1 });
    expect((await installation.run(...words)).exitCode).toBe(0);
    expect(await countedClicks()).toEqual({ valid: before.valid + 1, gross: before.gross + 1 });
  });
});
