/**
 * Clicks for a measurement, encoded before its clock runs: as ad servers send them (requests of StreamIngestClicks), and
 * as they stand on a stream (records).
 *
 * One click in ten is another one on an impression, one in fifty is sent twice: both by a rule, so it is known what must
 * be counted. The ids are UUIDv7 of one given minute, so a run is counted in a window of its own.
 */
import { randomBytes } from 'node:crypto';
import protobuf from 'protobufjs/minimal.js';
import { encodeClickRecord } from '../../adapters/nats/clickBatchCodec.ts';
import { DELIMITED, tag } from '../../adapters/nats/clickFields.ts';
import { type ClickRecord, EMPTY_CONTEXT } from '../../domain/clickRecord.ts';
import { parseUuid7 } from '../../domain/uuid7.ts';
import { PEOPLE } from '../demo/samplePeople.ts';
import { REFERRERS } from '../demo/sampleTraffic.ts';

/** The most that a gateway takes: as an ad server sends at peak, and what lets group commit gather. */
export const CLICKS_A_REQUEST = 5_000;
const REPEAT_EVERY = 10;
const REPEAT_BACK = 5;
const SENT_TWICE_EVERY = 50;
const SENT_TWICE_BACK = 7;
const USER_KEY = new Uint8Array(16).fill(7);
const UUID_CHARACTERS = 36;

export interface BenchClick {
  readonly adId: string;
  /** UUIDv7 in text form, as the impression's. */
  readonly clickId: string;
  readonly impressionId: string;
  /** Which of the people and pages. */
  readonly context: number;
}

export interface Workload {
  /** Milliseconds; the first moment of the minute in which all is counted. */
  readonly minuteMs: number;
  readonly clicks: readonly BenchClick[];
  readonly duplicates: number;
  readonly repeats: number;
}

/** @param nextAd the ad of the next click */
export function makeWorkload(count: number, minuteMs: number, nextAd: () => string): Workload {
  const clickIds = idMaker(minuteMs);
  const impressionIds = idMaker(minuteMs);
  const clicks: BenchClick[] = [];
  let [duplicates, repeats] = [0, 0];
  for (let number = 0; number < count; number += 1) {
    const inRequest = number % CLICKS_A_REQUEST;
    const isTwice = inRequest % SENT_TWICE_EVERY === SENT_TWICE_EVERY - 1;
    const isRepeat = inRequest % REPEAT_EVERY === REPEAT_BACK;
    const earlier = clicks[number - (isTwice ? SENT_TWICE_BACK : REPEAT_BACK)];
    if (isTwice && earlier !== undefined) {
      clicks.push(earlier);
      duplicates += 1;
    } else if (isRepeat && earlier !== undefined) {
      clicks.push({ ...earlier, clickId: clickIds(number) });
      repeats += 1;
    } else {
      const context = number % CONTEXTS.length;
      clicks.push({
        adId: nextAd(),
        clickId: clickIds(number),
        impressionId: impressionIds(number),
        context,
      });
    }
  }
  return { minuteMs, clicks, duplicates, repeats };
}

/** UUIDv7s that nothing else has: random, but for the last eight digits, which count. */
function idMaker(timeMs: number): (number: number) => string {
  const time = timeMs.toString(16).padStart(12, '0');
  const chance = randomBytes(6).toString('hex');
  const start = `${time.slice(0, 8)}-${time.slice(8)}-7${chance.slice(0, 3)}-9${chance.slice(3, 6)}-${chance.slice(6, 10)}`;
  return (number) => `${start}${number.toString(16).padStart(8, '0')}`;
}

const CONTEXTS = PEOPLE.flatMap((userAgent) => REFERRERS.map((referrer) => ({ userAgent, referrer })));

/** Requests of StreamIngestClicks: their bytes, and how many clicks each holds. */
export interface EncodedBatch {
  readonly bytes: Buffer;
  readonly clicks: number;
}

/** Numbers of fields of `Click` and of `BatchIngestClicksRequest`. */
const CLICK = {
  clickId: 1,
  impressionId: 2,
  adId: 3,
  userId: 5,
  ip: 6,
  userAgent: 7,
  referrer: 8,
  country: 9,
  deviceType: 11,
};
const REQUEST = { source: 1, clicks: 2 };

const encodedContexts = CONTEXTS.map(({ userAgent, referrer }, index) => {
  const writer = protobuf.Writer.create();
  const text = (field: number, value: string) => writer.uint32(tag(field, DELIMITED)).string(value);
  text(CLICK.userId, `person-${index}`);
  text(CLICK.ip, `198.51.100.${index}`);
  text(CLICK.userAgent, userAgent);
  text(CLICK.referrer, referrer);
  text(CLICK.country, 'NP');
  text(CLICK.deviceType, 'phone');
  return writer.finish();
});

export function encodeBatches({ clicks }: Pick<Workload, 'clicks'>): EncodedBatch[] {
  const batches: EncodedBatch[] = [];
  for (let from = 0; from < clicks.length; from += CLICKS_A_REQUEST) {
    const part = clicks.slice(from, from + CLICKS_A_REQUEST);
    batches.push({ bytes: encodeBatch(part), clicks: part.length });
  }
  return batches;
}

function encodeBatch(clicks: readonly BenchClick[]): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32(tag(REQUEST.source, DELIMITED)).string('bench');
  for (const click of clicks) writer.uint32(tag(REQUEST.clicks, DELIMITED)).bytes(encodeClick(click));
  return Buffer.from(writer.finish());
}

// Two ids and an ad before a context of which all bytes are known: ten times as fast as field by field.
function encodeClick({ clickId, impressionId, adId, context }: BenchClick): Buffer {
  const rest = encodedContexts[context] ?? new Uint8Array();
  const bytes = Buffer.allocUnsafe(2 * (2 + UUID_CHARACTERS) + 2 + adId.length + rest.length);
  let at = 0;
  for (const [field, text] of [
    [CLICK.clickId, clickId],
    [CLICK.impressionId, impressionId],
    [CLICK.adId, adId],
  ] as const) {
    bytes[at++] = tag(field, DELIMITED);
    bytes[at++] = text.length;
    at += bytes.write(text, at, 'latin1');
  }
  bytes.set(rest, at);
  return bytes;
}

/** The click as a gateway leaves it on a stream. */
export function recordOf(
  { adId, clickId, impressionId, context }: BenchClick,
  minuteMs: number,
): ClickRecord {
  const { userAgent = '', referrer = '' } = CONTEXTS[context] ?? {};
  return {
    ...EMPTY_CONTEXT,
    clickId: parseUuid7(clickId) ?? new Uint8Array(),
    impressionId: parseUuid7(impressionId),
    adId,
    eventTimeMs: minuteMs,
    receivedMs: minuteMs,
    channel: 'GRPC',
    signature: 'NOT_CHECKED',
    head: false,
    prefetch: false,
    test: false,
    userAgent,
    userKey: USER_KEY,
    referrer,
    country: 'NP',
    deviceType: 'phone',
    source: 'bench',
  };
}

export function encodeRecords({ clicks, minuteMs }: Workload): Uint8Array[] {
  return clicks.map((click) => encodeClickRecord(recordOf(click, minuteMs)));
}
