/** A shard's replay: equal to a plain count that forgets nothing, in however many parts it is folded. */
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SpillFiles } from '../../src/adapters/disk/spillFiles.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import {
  Recount,
  type RecountedPortion,
  type RecountedWindow,
  type WindowSelection,
} from '../../src/domain/recount.ts';
import type { ReplayedShard } from '../../src/domain/replayers.ts';
import { RoutingTable } from '../../src/domain/routingTable.ts';
import { addCounts, emptyCounts, type WindowCounts } from '../../src/domain/windowCounts.ts';
import { replayShard } from '../../src/reconciler/shardReplay.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { naiveCount } from '../support/naiveCount.ts';
import { addRollup, type Rollups } from '../support/rollups.ts';

const MINUTE_MS = 60_000;
const ALL: WindowSelection = { fromMs: undefined, toMs: undefined, adIds: undefined };
const tableWith = (dedupHorizonMs: number) =>
  RoutingTable.create(1, { kind: 'created', shards: 1, rules: { ...RULES, dedupHorizonMs } });
const TABLE = tableWith(RULES.dedupHorizonMs);

const click = fc.record({
  impression: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  click: fc.integer({ min: 1, max: 8 }),
  ad: fc.constantFrom('ad-1', 'ad-2'),
  minute: fc.integer({ min: 0, max: 3 }),
  head: fc.boolean(),
  country: fc.constantFrom('', 'DE', 'AT'),
  os: fc.constantFrom('', 'Linux'),
  site: fc.constantFrom('', 'news.example', 'shop.example'),
});
const stream = fc.array(
  fc.record({
    stepMs: fc.integer({ min: 0, max: 2 * RULES.dedupHorizonMs }),
    clicks: fc.array(click, { minLength: 1, maxLength: 6 }),
    poison: fc.boolean(),
  }),
  { minLength: 1, maxLength: 15 },
);

const NOTHING = { country: '' as const, os: '' as const, site: '' as const };
type Stream = typeof stream extends fc.Arbitrary<infer T> ? T : never;

function streamsOf(messages: Stream): MemoryStreams {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(1);
  let timestampMs = NOON_MS;
  for (const { stepMs, clicks, poison } of messages) {
    timestampMs += stepMs;
    const records = clicks.map(({ impression, click, ad, minute, head, country, os, site }) =>
      encodeClickRecord(
        recordOf({
          adId: ad,
          clickId: uuid7At(NOON_MS, click),
          impressionId: impression === undefined ? undefined : uuid7At(NOON_MS, impression),
          eventTimeMs: NOON_MS - minute * MINUTE_MS,
          receivedMs: NOON_MS,
          head,
          country,
          os,
          referrer: site === '' ? '' : `https://${site}/${click}`,
        }),
      ),
    );
    if (poison) records.push(Uint8Array.of(1, 2, 3));
    streams.append(0, encodeClickBatch(1, records), timestampMs);
  }
  return streams;
}

async function replay(
  streams: MemoryStreams,
  messages: number,
  partitionRecordsMax: number,
  selection = ALL,
): Promise<{
  windows: Map<string, WindowCounts>;
  rollups: Rollups;
  late: number;
  replayed: ReplayedShard;
  records: number;
}> {
  const recount = new Recount(selection);
  const taken: RecountedWindow[] = [];
  const rollups = new Map() as Rollups;
  const take = (portion: RecountedPortion) => {
    taken.push(...portion.windows);
    for (const row of portion.rollups) addRollup(rollups, row);
  };
  let records = 0;
  const replayed = await replayShard(
    { shard: 0, incarnation: 'made-1', fromSequence: 1, throughSequence: messages },
    naiveCount(streams.messages(0), 0, TABLE).records,
    {
      streams,
      routing: { table: TABLE, readThrough: async () => undefined },
      rules: TABLE,
      newSpill: (parts) => SpillFiles.create(tmpdir(), parts),
      partitionRecordsMax,
      recount,
      withDimensions: true,
      drain: async () => take(recount.take()),
      onRecords: (count) => {
        records += count;
      },
      stop: new AbortController().signal,
    },
  );
  take(recount.take());
  const windows = new Map<string, WindowCounts>();
  for (const { adId, minute, counts } of taken) {
    const key = `${minute} ${adId}`;
    const sum = windows.get(key) ?? emptyCounts();
    addCounts(sum, counts);
    windows.set(key, sum);
  }
  const late = taken.reduce((sum, window) => sum + window.late, 0);
  return { windows: withoutEmpty(windows), rollups, late, replayed, records };
}

/** A window may be known only by records that are late. */
function withoutEmpty(windows: Map<string, WindowCounts>): Map<string, WindowCounts> {
  return new Map([...windows].filter(([, counts]) => Object.values(counts).some((count) => count > 0)));
}

/** Every click that counts as one, whatever it is worth. */
function gross(counts: Iterable<WindowCounts>): number {
  return [...counts].reduce((sum, { valid, repeat, givt }) => sum + valid + repeat + givt, 0);
}

describe("a shard's replay", () => {
  it('is a count that forgets nothing, in one part or in many', async () => {
    await fc.assert(
      fc.asyncProperty(stream, fc.integer({ min: 1, max: 20 }), async (messages, partitionRecordsMax) => {
        const streams = streamsOf(messages);
        const expected = naiveCount(streams.messages(0), 0, tableWith(1e12));
        const live = naiveCount(streams.messages(0), 0, TABLE);
        for (const most of [partitionRecordsMax, 1_000]) {
          const found = await replay(streams, messages.length, most);
          expect(found.windows).toEqual(expected.counts);
          expect(found.rollups).toEqual(expected.rollups);
          expect(found.replayed).toEqual({ records: expected.records, deadLetters: expected.deadLetters });
          expect(found.records).toBe(expected.records);
          const lateDuplicates = gross(live.counts.values()) - gross(expected.counts.values());
          expect(found.late).toBeGreaterThanOrEqual(lateDuplicates);
          if (found.late === 0) expect(live.counts).toEqual(expected.counts);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps only the windows that are asked for', async () => {
    const clicks = [0, 1, 2].flatMap((minute) =>
      (['ad-1', 'ad-2'] as const).map((ad, index) => ({
        impression: undefined,
        click: minute * 2 + index + 1,
        ad,
        minute,
        head: false,
        ...NOTHING,
      })),
    );
    const streams = streamsOf([{ stepMs: 0, clicks, poison: false }]);
    const selection = {
      fromMs: NOON_MS - MINUTE_MS,
      toMs: NOON_MS,
      adIds: new Set(['ad-2']),
    };
    const { windows } = await replay(streams, 1, 1_000, selection);
    expect([...windows.keys()]).toEqual([`${NOON_MS - MINUTE_MS} ad-2`]);
  });

  it('that ends before its range does is no answer', async () => {
    const streams = streamsOf([
      {
        stepMs: 0,
        clicks: [{ impression: 1, click: 1, ad: 'ad-1', minute: 0, head: false, ...NOTHING }],
        poison: false,
      },
    ]);
    streams.read = async function* () {};
    await expect(replay(streams, 1, 1_000)).rejects.toThrow('was read only to 0');
  });
});
