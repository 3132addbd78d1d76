/**
 * Clicks for a measurement, written straight onto the streams as a gateway would leave them there: so the time that it
 * takes to accept them is in no figure.
 */
import type { JetStreamClient } from 'nats';
import { encodeClickBatch, encodeClickRecord } from '../../adapters/nats/clickBatchCodec.ts';
import { clickSubject } from '../../adapters/nats/clickStreams.ts';
import { type ClickRecord, EMPTY_CONTEXT } from '../../domain/clickRecord.ts';
import type { RoutingTable } from '../../domain/routingTable.ts';
import { parseUuid7 } from '../../domain/uuid7.ts';
import { type SampleClick, SampleTraffic, seededRandom } from '../demo/sampleTraffic.ts';

const ADS = 500;
/** The clicks are spread over so much time before now. */
const SPAN_MS = 3_600_000;
/** One in so many is sent twice, as by a publisher that heard no answer. */
const SENT_TWICE_EVERY = 50;
const IN_FLIGHT_MAX = 64;

export interface BenchTraffic {
  readonly clicks: number;
  readonly clicksAMessage: number;
  readonly endMs: number;
}

/** @returns how many records stand on the streams now */
export async function publishClicks(
  traffic: BenchTraffic,
  table: RoutingTable,
  client: JetStreamClient,
): Promise<number> {
  const waiting = new Map<number, Uint8Array[]>();
  const inFlight = new Set<Promise<unknown>>();
  const send = async (shard: number, records: readonly Uint8Array[]) => {
    const publishing = client.publish(clickSubject(shard), encodeClickBatch(table.sequence, records));
    inFlight.add(publishing);
    void publishing.finally(() => inFlight.delete(publishing)).catch(() => undefined);
    if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
  };
  let records = 0;
  for (const record of clicks(traffic)) {
    const shard = table.route(record);
    const batch = waiting.get(shard) ?? [];
    waiting.set(shard, batch);
    const bytes = encodeClickRecord(record);
    batch.push(bytes);
    records += 1;
    if (records % SENT_TWICE_EVERY === 0) {
      batch.push(bytes);
      records += 1;
    }
    if (batch.length < traffic.clicksAMessage) continue;
    waiting.delete(shard);
    await send(shard, batch);
  }
  for (const [shard, batch] of waiting) await send(shard, batch);
  await Promise.all(inFlight);
  return records;
}

function* clicks({ clicks, endMs }: BenchTraffic): Generator<ClickRecord> {
  let timeMs = endMs;
  const adIds = Array.from({ length: ADS }, (_, rank) => `ad-${rank}`);
  const traffic = new SampleTraffic(adIds, seededRandom(1), () => Bun.randomUUIDv7('hex', timeMs));
  for (let number = 0; number < clicks; number++) {
    timeMs = Math.floor(endMs - SPAN_MS + (SPAN_MS * number) / clicks);
    yield recordOf(traffic.next(), timeMs);
  }
}

function recordOf(click: SampleClick, timeMs: number): ClickRecord {
  return {
    ...EMPTY_CONTEXT,
    clickId: Bun.randomUUIDv7('buffer', timeMs),
    impressionId: parseUuid7(click.impressionId),
    adId: click.adId,
    eventTimeMs: timeMs,
    receivedMs: timeMs,
    channel: 'HTTP',
    signature: click.kind === 'tampered' ? 'INVALID' : 'VALID',
    head: false,
    prefetch: false,
    test: false,
    userAgent: click.userAgent,
    userKey: Bun.randomUUIDv7('buffer', timeMs),
    referrer: click.referrer,
    country: 'NP',
  };
}
