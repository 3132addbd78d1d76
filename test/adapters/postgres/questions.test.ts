/**
 * Questions of every kind over real tables: what a flush stored and what an owner has not flushed yet must add up to a plain
 * count of the clicks, in whichever zone, groups and filters, and from whichever table it is read.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readAggregates } from '../../../src/adapters/postgres/readAggregates.ts';
import { readAskedAds } from '../../../src/adapters/postgres/readAskedAds.ts';
import { readTop } from '../../../src/adapters/postgres/readTop.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { upsertAds } from '../../../src/adapters/postgres/upsertAds.ts';
import type { LiveDelta, LiveRequest } from '../../../src/domain/aggregates.ts';
import { Buckets } from '../../../src/domain/buckets.ts';
import {
  type ClickDimensions,
  DIMENSIONS,
  QUARTER_MS,
  type RollupKind,
} from '../../../src/domain/dimensions.ts';
import { GRANULARITIES } from '../../../src/domain/granularity.ts';
import { type AskedAd, type GroupDimension, isClickDimension, passes } from '../../../src/domain/groups.ts';
import { kindAsked, type Question, takesEveryAd } from '../../../src/domain/question.ts';
import { COUNTS, type Count, countOf } from '../../../src/domain/ranking.ts';
import { RollupCounts } from '../../../src/domain/rollupCounts.ts';
import {
  countDisposition,
  type Disposition,
  type DispositionCounts,
  emptyCounts,
  emptyDispositions,
  MINUTE_MS,
} from '../../../src/domain/windowCounts.ts';
import { AggregateReader } from '../../../src/query/aggregateReader.ts';
import { askedAd } from '../../support/questions.ts';
import { noPast } from '../../support/unsettled.ts';
import { addShard, CLAIM, flushOf, type Ledger, openLedger, partitionsOf, untilWaiting } from './ledger.ts';

interface Click {
  readonly ad: AskedAd;
  readonly minute: number;
  readonly dimensions: ClickDimensions;
  readonly disposition: Disposition;
}

/** New York's clock goes back on 2 November; a month ends, and a week. */
const FROM_MS = Date.UTC(2025, 9, 30);
const QUARTERS = 5 * 96;
const ADS = [
  askedAd('a1', 'c1', 'v1'),
  askedAd('a2', 'c1', 'v1'),
  askedAd('a3', 'c2', 'v1'),
  askedAd('a4', 'c3', 'v2'),
  // Not in the catalog.
  askedAd('a5'),
];
const VALUES = ['', 'x', 'y', 'é'];

const clickOf: fc.Arbitrary<Click> = fc.record({
  ad: fc.constantFrom(...ADS),
  minute: fc.nat({ max: QUARTERS * 15 - 1 }).map((minute) => FROM_MS + minute * MINUTE_MS),
  dimensions: fc.record(
    Object.fromEntries(DIMENSIONS.map((name) => [name, fc.constantFrom(...VALUES)])) as Record<
      (typeof DIMENSIONS)[number],
      fc.Arbitrary<string>
    >,
  ),
  disposition: fc.constantFrom<Disposition>('VALID', 'VALID', 'REPEAT', 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'),
});

const [stored = [], live = []] = fc.sample(fc.array(clickOf, { minLength: 400, maxLength: 400 }), {
  numRuns: 2,
  seed: 7,
});

let ledger: Ledger;

beforeAll(async () => {
  ledger = await openLedger();
  await upsertAds(
    ledger.pool,
    ADS.slice(0, 4).map(({ ad_id, campaign_id, advertiser_id }) => ({
      adId: ad_id,
      campaignId: campaign_id,
      advertiserId: advertiser_id,
      destinationUrl: 'https://example.com/',
      status: 'ACTIVE',
    })),
  );
  for (const shard of [0, 1]) {
    await addShard(ledger, shard);
    const { rows, rollups } = countedOf(stored.filter((_, index) => index % 2 === shard));
    const counted = rows.map(({ adId, minute, ...counts }) => ({
      adId,
      minute,
      counts: { ...emptyCounts(), ...counts },
    }));
    const flush = flushOf({ shard, rows: counted, rollups });
    expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
  }
});
afterAll(() => ledger.end());

/** As an ad actor counts. */
function countedOf(clicks: readonly Click[], kind?: RollupKind): Pick<LiveDelta, 'rows' | 'rollups'> {
  const rows = new Map<string, LiveDelta['rows'][number]>();
  const rollups = new Map<string, RollupCounts>();
  for (const { ad, minute, dimensions, disposition } of clicks) {
    const key = `${ad.ad_id} ${minute}`;
    const row = rows.get(key) ?? { adId: ad.ad_id, minute, ...emptyDispositions() };
    rows.set(key, row);
    countDisposition(row, disposition);
    const ofAd = rollups.get(ad.ad_id) ?? new RollupCounts();
    rollups.set(ad.ad_id, ofAd);
    ofAd.count(minute, dimensions, disposition);
  }
  const kinds = kind === undefined ? undefined : [kind];
  return {
    rows: [...rows.values()],
    rollups: [...rollups].flatMap(([adId, counts]) => counts.rows(adId, kinds)),
  };
}

/** As the owner of both shards answers. */
function answer({ adIds, fromMs, toMs, kind }: LiveRequest): LiveDelta[] {
  return [0, 1].map((shard) => {
    const asked = live
      .filter((click, index) => index % 2 === shard && click.minute >= fromMs && click.minute < toMs)
      .filter(({ ad }) => adIds === undefined || adIds.includes(ad.ad_id))
      .map((click) => (adIds === undefined ? { ...click, ad: askedAd('') } : click));
    const { rows, rollups } = countedOf(asked, kind);
    const told = kind === undefined ? [] : rollups;
    return { shard, epoch: 1, claim: CLAIM, floor: 10, arrivedThroughMs: FROM_MS, rows, rollups: told };
  });
}

const reader = new AggregateReader({
  readStored: (...asked) => readAggregates(ledger.pool, ...asked),
  readPast: noPast,
  askOwner: (_owner, request) => Promise.resolve(answer(request)),
});

/** Counts by bucket and group. */
function plainCount(clicks: readonly Click[], question: Question): Map<string, DispositionCounts> {
  const { range, width, timeZone, ads, groupBy, filters } = question;
  const buckets = new Buckets(range, width, timeZone);
  const counts = new Map<string, DispositionCounts>();
  for (const { ad, minute, dimensions, disposition } of clicks) {
    const valueIn = (name: GroupDimension) => (isClickDimension(name) ? dimensions[name] : ad[name]);
    if (minute < range.fromMs || minute >= range.toMs) continue;
    if (ads !== undefined && !ads.some(({ ad_id }) => ad_id === ad.ad_id)) continue;
    if (!filters.every(({ dimension }) => passes(filters, dimension, valueIn(dimension)))) continue;
    const key = JSON.stringify([buckets.startOf(minute), ...groupBy.map(valueIn)]);
    const row = counts.get(key) ?? emptyDispositions();
    counts.set(key, row);
    countDisposition(row, disposition);
  }
  return counts;
}

const values = fc.uniqueArray(fc.constantFrom(...VALUES), { maxLength: 2 });
/** Dimensions of clicks that are rolled up together. */
const ofClicks = fc.oneof(
  fc.constant<GroupDimension[]>([]),
  fc.constantFrom(...DIMENSIONS).map((dimension): GroupDimension[] => [dimension]),
  fc.constantFrom<GroupDimension[][]>(
    ['country', 'device_type'],
    ['device_type', 'country'],
    ['country', 'publisher_id'],
  ),
);
const questions: fc.Arbitrary<Question> = fc
  .record({
    ads: fc.option(fc.subarray(ADS), { nil: undefined }),
    quarters: fc.tuple(fc.nat({ max: QUARTERS }), fc.integer({ min: 1, max: QUARTERS })),
    minutes: fc.tuple(fc.nat({ max: 14 }), fc.nat({ max: 14 })),
    width: fc.constantFrom(...GRANULARITIES, 'WHOLE' as const),
    timeZone: fc.constantFrom(
      'UTC',
      'Asia/Kathmandu',
      'America/New_York',
      'Australia/Lord_Howe',
      'Asia/Kolkata',
    ),
    ofAds: fc.subarray<GroupDimension>(['ad_id', 'campaign_id', 'advertiser_id']),
    ofClicks,
    grouped: fc.boolean(),
    filters: fc.tuple(values, values),
    adFilters: fc.subarray<GroupDimension>(['campaign_id']),
  })
  .map(({ ads, quarters, minutes, width, timeZone, ofAds, ofClicks: names, grouped, filters, adFilters }) => {
    const [first, length] = quarters;
    const [include, exclude] = filters;
    const offset = names.length > 0 ? [0, 0] : minutes;
    const filtered = [...(grouped ? names.slice(1) : names), ...(ads === undefined ? adFilters : [])];
    return {
      ads,
      range: {
        fromMs: FROM_MS + first * QUARTER_MS + (offset[0] ?? 0) * MINUTE_MS,
        toMs:
          FROM_MS +
          (first + length) * QUARTER_MS +
          (offset[1] ?? 0) * MINUTE_MS +
          (names.length > 0 ? 0 : MINUTE_MS),
      },
      width: names.length > 0 && width === 'MINUTE' ? 'HOUR' : width,
      timeZone,
      groupBy: [...ofAds, ...(grouped ? names : [])],
      filters: filtered.map((dimension) => ({
        dimension,
        include: dimension === 'campaign_id' ? ['c1', ''] : include,
        exclude,
      })),
    } satisfies Question;
  });

describe('a question', () => {
  test('of any kind is answered as a plain count of the clicks, what is not flushed yet with it', async () => {
    const met = { kinds: new Set<unknown>(), every: 0, together: 0 };
    await fc.assert(
      fc.asyncProperty(questions, async (question) => {
        const { rows } = await reader.read(question, 100_000);
        const every = takesEveryAd(question);
        const found = rows.map(({ group, bucketMs, revision: _, status: __, ...counts }) => [
          JSON.stringify([bucketMs, ...group]),
          counts,
        ]);
        // Where all ads are looked at one by one it is told of what was flushed.
        expect(Object.fromEntries(found)).toEqual(
          Object.fromEntries(plainCount(every ? stored : [...stored, ...live], question)),
        );
        expect(found.length).toBe(new Set(found.map(([key]) => key)).size);
        met.kinds.add(kindAsked(question));
        if (every) met.every += 1;
        else if (question.ads === undefined) met.together += 1;
      }),
      { numRuns: 300 },
    );
    expect(met.kinds.size).toBe(9);
    expect([met.every > 5, met.together > 5]).toEqual([true, true]);
  });

  test('for the largest is answered as a plain count of what was flushed', async () => {
    const ranking = fc.record({
      question: questions,
      dimension: fc.constantFrom<GroupDimension>(
        'ad_id',
        'campaign_id',
        'advertiser_id',
        'os',
        'publisher_id',
      ),
      count: fc.constantFrom<Count>(...COUNTS),
      most: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(ranking, async ({ question: any, dimension, count, most }) => {
        const filters = isClickDimension(dimension) ? [] : any.filters;
        const question: Question = { ...any, filters, width: 'WHOLE', groupBy: [dimension] };
        const fromMs = Math.floor(any.range.fromMs / QUARTER_MS) * QUARTER_MS;
        const toMs = Math.ceil(any.range.toMs / QUARTER_MS) * QUARTER_MS;
        const asked = { ...question, range: { fromMs, toMs } };
        const { entries, total } = await readTop(ledger.pool, { question: asked, count, most });
        const plain = [...plainCount(stored, asked)]
          .map(([key, counts]) => ({ value: String(JSON.parse(key)[1]), ...counts }))
          .filter((counts) => countOf(counts, count) > 0)
          .sort(
            (left, right) =>
              countOf(right, count) - countOf(left, count) || (left.value < right.value ? -1 : 1),
          );
        expect(entries).toEqual(plain.slice(0, most));
        expect({ ...emptyDispositions(), ...total }).toMatchObject(
          plainCount(stored, { ...asked, groupBy: [] }).get(JSON.stringify([fromMs])) ?? emptyDispositions(),
        );
      }),
      { numRuns: 150 },
    );
  });
});

test('the ads of a campaign are those that the catalog has, no more than asked for', async () => {
  expect(await readAskedAds(ledger.pool, 'campaign_id', ['c1', 'c3', 'none'], 10)).toEqual(
    [ADS[0], ADS[1], ADS[3]].map((ad) => ({ ...ad })),
  );
  expect(await readAskedAds(ledger.pool, 'advertiser_id', ['v1'], 2)).toHaveLength(2);
});

test('a reading that is given up ends in PostgreSQL, too, and its connection is not used again', async () => {
  const own = await openLedger();
  onTestFinished(() => own.end());
  const holder = await own.pool.connect();
  onTestFinished(() => holder.release(true));
  await holder.query('begin; lock table settlement in access exclusive mode');
  const given = new AbortController();
  const question: Question = {
    ads: [askedAd('a1')],
    range: { fromMs: FROM_MS, toMs: FROM_MS + MINUTE_MS },
    width: 'MINUTE',
    timeZone: 'UTC',
    groupBy: ['ad_id'],
    filters: [],
  };
  const reading = readAggregates(own.pool, question, 10, given.signal);
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  const sessions = async () => (await own.pool.query(waiting)).rowCount;
  await untilWaiting(own);
  given.abort();
  await expect(reading).rejects.toThrow(/abort/i);
  // Nobody lets go of the lock: it ends because nobody waits for its answer.
  while ((await sessions()) !== 0) await Bun.sleep(20);
  await holder.query('rollback');
  expect((await readAggregates(own.pool, question, 10)).rows).toEqual([]);
});
