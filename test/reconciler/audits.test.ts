/**
 * Audits against a plain count of the same streams, whatever stands on them: repeats, retries, late ones, defects, broken
 * records, clocks a day apart.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { Position } from '../../src/domain/position.ts';
import { RoutingTable } from '../../src/domain/routingTable.ts';
import type { StoredWindow } from '../../src/domain/storedWindow.ts';
import { emptyCounts, type WindowCounts } from '../../src/domain/windowCounts.ts';
import type { AuditedRecord } from '../../src/reconciler/auditFold.ts';
import type { AuditParts } from '../../src/reconciler/auditPorts.ts';
import { type ListingPlace, listClicks } from '../../src/reconciler/clickListing.ts';
import { findClick, findRecord } from '../../src/reconciler/clickSearch.ts';
import { areEqual, asTotals, countRecord } from '../../src/reconciler/differenceExplanation.ts';
import { verifyWindow } from '../../src/reconciler/windowAudit.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { type NaiveCount, naiveCount } from '../support/naiveCount.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const FOREVER_MS = 1e12;
const ADS = ['ad-1', 'ad-11'];
const END_MS = NOON_MS + DAY_MS;

const click = fc.record({
  ad: fc.constantFrom(...ADS),
  impression: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  click: fc.integer({ min: 1, max: 6 }),
  head: fc.boolean(),
  eventBack: fc.integer({ min: 0, max: 2 }),
});
const stream = fc.record({
  /** How far the broker's clock is behind the gateways'. */
  behindMs: fc.constantFrom(0, DAY_MS),
  messages: fc.array(
    fc.record({
      stepMs: fc.constantFrom(0, 1_000, 70_000, 300_000, 590_000, 700_000),
      /** For this message, the broker's clock has stepped back. */
      stepBackMs: fc.constantFrom(0, 0, 0, 650_000),
      clicks: fc.array(click, { minLength: 1, maxLength: 4 }),
      broken: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  ),
});
type Stream = typeof stream extends fc.Arbitrary<infer T> ? T : never;

const tableOf = (dedupHorizonMs: number) =>
  RoutingTable.create(1, { kind: 'created', shards: 1, rules: { ...RULES, dedupHorizonMs } });

interface World {
  readonly parts: AuditParts;
  /** As live counting counts, and as a count that forgets nothing does. */
  readonly live: NaiveCount;
  readonly whole: NaiveCount;
  readonly records: readonly { readonly position: Position; readonly record: ClickRecord | undefined }[];
}

function worldOf({ behindMs, messages }: Stream): World {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(1);
  const records: { position: Position; record: ClickRecord | undefined }[] = [];
  let receivedMs = NOON_MS;
  for (const { stepMs, stepBackMs, clicks, broken } of messages) {
    receivedMs += stepMs;
    const batch = clicks.map((one) =>
      recordOf({
        adId: one.ad,
        // A click on an impression is made soon after it; one without is made anew at each message.
        clickId: uuid7At(one.impression === undefined ? receivedMs : NOON_MS, one.click),
        impressionId: one.impression === undefined ? undefined : uuid7At(NOON_MS - 1_000, one.impression),
        eventTimeMs: receivedMs - one.eventBack * MINUTE_MS,
        receivedMs,
        head: one.head,
      }),
    );
    const bytes = batch.map((record) => ({ record, bytes: encodeClickRecord(record) }));
    // A copy of the first click that is cut off, before the whole one.
    const [first] = bytes;
    const torn =
      first !== undefined && broken ? [{ record: undefined, bytes: first.bytes.subarray(0, 30) }] : [];
    const stands = [...torn, ...bytes];
    const message = encodeClickBatch(
      1,
      stands.map((one) => one.bytes),
    );
    const sequence = streams.append(0, message, receivedMs - Math.max(behindMs, stepBackMs));
    for (const [index, { record }] of stands.entries())
      records.push({ position: { shard: 0, incarnation: 'made-1', sequence, index }, record });
  }
  const table = tableOf(RULES.dedupHorizonMs);
  const live = naiveCount(streams.messages(0), 0, table);
  const shards = [
    { shard: 0, incarnation: 'made-1', floor: streams.messages(0).length, arrivedThroughMs: NOON_MS },
  ];
  const nothing = asTotals(emptyCounts());
  const window = async (adId: string, minute: number): Promise<StoredWindow> => ({
    counts: asTotals(live.counts.get(`${minute} ${adId}`) ?? emptyCounts()),
    adjustments: nothing,
    status: 'PROVISIONAL',
    revision: 0,
    needsLongerReplay: false,
    shards,
    reclassifications: [],
  });
  const parts: AuditParts = {
    ledger: {
      window,
      checkpoints: async () => shards,
      restatements: async () => [],
      reclassifications: async () => [],
    },
    routing: { table, read: async () => undefined, readThrough: async () => undefined },
    openStreams: () => streams,
  };
  return {
    parts,
    live,
    whole: naiveCount(streams.messages(0), 0, tableOf(FOREVER_MS)),
    records,
  };
}

async function listed(
  parts: AuditParts,
  adId: string,
  fromMs: number,
  size: number,
): Promise<AuditedRecord[]> {
  const records: AuditedRecord[] = [];
  let place: ListingPlace | undefined;
  do {
    const page = await listClicks({ adId, fromMs, toMs: END_MS }, size, place, parts, new AbortController());
    expect(page.records.length).toBeLessThanOrEqual(size);
    records.push(...page.records);
    place = page.next;
  } while (place !== undefined);
  return records;
}

function countsOf(records: readonly AuditedRecord[], by: 'fate' | 'countedAs'): Map<string, WindowCounts> {
  const counts = new Map<string, WindowCounts>();
  for (const record of records) {
    if (record[by] === 'DUPLICATE') continue;
    const key = `${record.minute} ${record.facts?.adId}`;
    const window = counts.get(key) ?? emptyCounts();
    countRecord(window, record, record[by]);
    counts.set(key, window);
  }
  return counts;
}

const placeOf = ({ sequence, index }: Position) => `${sequence} ${index}`;

describe('audits', () => {
  it('verify every window as live counting counted it, but for late records, which they name', async () => {
    await fc.assert(
      fc.asyncProperty(stream, async (given) => {
        const { parts, live } = worldOf(given);
        for (const key of live.counts.keys()) {
          const [minute, adId = ''] = key.split(' ');
          const verified = await verifyWindow(adId, Number(minute), parts, new AbortController());
          expect(verified.verdict === 'EQUAL').toBe(areEqual(verified.stored, verified.recounted));
          if (verified.verdict === 'EQUAL') continue;
          expect(verified.explanation?.kind).toBe('LATE_RECORDS');
          expect(verified.explanation?.records).toHaveLength(verified.late);
          expect(verified.late).toBeGreaterThan(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('list every click of an ad and range once, in order, on pages of any size, as it was counted', async () => {
    const sizes = fc.integer({ min: 1, max: 9 });
    const begins = fc.integer({ min: -3, max: 90 });
    await fc.assert(
      fc.asyncProperty(stream, sizes, begins, async (given, size, begin) => {
        const { parts, live, records } = worldOf(given);
        const fromMs = NOON_MS + begin * MINUTE_MS;
        const all: AuditedRecord[] = [];
        for (const adId of ADS) {
          const ofAd = await listed(parts, adId, fromMs, size);
          const sent = records.filter(({ record }) => record?.adId === adId && record.eventTimeMs >= fromMs);
          expect(ofAd.map(({ position }) => placeOf(position))).toEqual(
            sent.map(({ position }) => placeOf(position)),
          );
          all.push(...ofAd);
        }
        const inRange = [...live.counts].filter(([key]) => Number(key.split(' ')[0]) >= fromMs);
        expect(countsOf(all, 'countedAs')).toEqual(new Map(inRange));
      }),
      { numRuns: 300 },
    );
  });

  it('find every record by its click_id and by its position, judged with a memory that forgets nothing', async () => {
    await fc.assert(
      fc.asyncProperty(stream, async (given) => {
        const { parts, whole, live, records } = worldOf(given);
        const found = new Map<string, AuditedRecord>();
        for (const { position, record } of records) {
          const single = await findRecord(position, parts, new AbortController());
          expect(single?.records.map((one) => one.position)).toEqual([position]);
          if (record === undefined) {
            expect(single?.records[0]).toMatchObject({ fate: 'DEAD_LETTER', reason: 'undecodable' });
            continue;
          }
          const wanted = { clickId: record.clickId, adId: undefined, sinceMs: undefined };
          const byId = await findClick(wanted, parts, new AbortController());
          const same = byId.records.find((one) => placeOf(one.position) === placeOf(position));
          expect(same).toEqual(single?.records[0]);
          if (same !== undefined) found.set(placeOf(position), same);
        }
        const judged = [...found.values()];
        expect(countsOf(judged, 'fate')).toEqual(whole.counts);
        expect(countsOf(judged, 'countedAs')).toEqual(live.counts);
        // What it repeats is of the same impression; what it duplicates is the same click, and counted.
        for (const { fate, repeats, facts } of judged) {
          expect(repeats !== undefined).toBe(fate === 'DUPLICATE' || fate === 'REPEAT');
          if (repeats === undefined) continue;
          const origin = found.get(placeOf(repeats));
          if (fate === 'REPEAT') {
            expect(origin?.facts?.impressionId).toEqual(facts?.impressionId);
          } else {
            expect(origin?.facts?.clickId).toEqual(facts?.clickId);
            expect(origin?.fate).not.toBe('DUPLICATE');
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});
