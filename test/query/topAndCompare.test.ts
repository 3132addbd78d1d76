/** TopN and CompareAggregates through the wire: what may be asked, and what the answer says. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { queryClient } from '../../src/adapters/grpc/clients.ts';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { CompareAggregatesRequest } from '../../src/contract/generated/clickledger/v1/CompareAggregatesRequest.ts';
import type { TopNRequest } from '../../src/contract/generated/clickledger/v1/TopNRequest.ts';
import type { Question } from '../../src/domain/question.ts';
import type { Ranking } from '../../src/domain/ranking.ts';
import { emptyDispositions } from '../../src/domain/windowCounts.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import type { Answers } from '../../src/query/answers.ts';
import { compareAnswers } from '../../src/query/compareAnswers.ts';
import { queryService } from '../../src/query/queryService.ts';
import { topAnswers } from '../../src/query/topAnswers.ts';
import { serve } from '../support/grpcServer.ts';
import { askedAd } from '../support/questions.ts';
import { SilentLog } from '../support/silentLog.ts';
import { noPast, UNSETTLED } from '../support/unsettled.ts';

const DAY_MS = 86_400_000;
const MARCH_MS = Date.UTC(2024, 2, 1);
const RANGE = { from_ms: MARCH_MS, to_ms: MARCH_MS + DAY_MS };
const TOP = { dimension: 'country', ...RANGE } satisfies TopNRequest;
const SIDES = {
  left: { ad_ids: ['a'], ...RANGE },
  right: { ad_ids: ['b'], ...RANGE },
} satisfies CompareAggregatesRequest;

const unasked = () => {
  throw new Error('nobody asks this here');
};
const counts = (valid: number) => ({ ...emptyDispositions(), valid });

/** @param valid clicks of a question */
async function setUp(valid: (question: Question) => number) {
  const rankings: Ranking[] = [];
  const checkpoint = {
    shard: 0,
    owner: undefined,
    epoch: 1,
    claim: undefined,
    floor: 0,
    arrivedThroughMs: 77,
  };
  const reader = new AggregateReader({
    readStored: async (question) => ({
      ...UNSETTLED,
      rows: [{ group: [], bucketMs: question.range.fromMs, ...counts(valid(question)) }],
      checkpoints: [checkpoint],
    }),
    readPast: noPast,
    askOwner: async () => undefined,
  });
  const readAds = async () => [askedAd('a', 'c1', 'v1')];
  const answers: Answers = {
    queryAggregates: unasked,
    topN: topAnswers({
      readAds,
      readTop: async (ranking) => {
        rankings.push(ranking);
        return {
          ...UNSETTLED,
          entries: [{ value: 'NP', ...counts(5) }],
          total: counts(9),
          differing: undefined,
          checkpoints: [checkpoint],
        };
      },
    }),
    compareAggregates: compareAnswers({ reader, readAds }),
    queryUniques: unasked,
    streamAggregates: unasked,
    exportAggregates: unasked,
  };
  const address = await serve((server) =>
    server.addService(ClickQueryService.service, queryService({ answers, log: new SilentLog() })),
  );
  const client = queryClient(address);
  onTestFinished(() => client.close());
  return { client, rankings };
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => 'answered',
    (error: { code: number; details: string }) =>
      error.code === status.INVALID_ARGUMENT ? error.details : error,
  );

describe('a question for the largest', () => {
  it('is ranked as it was asked: ten by clicks where nothing else is said', async () => {
    const { client, rankings } = await setUp(() => 0);
    const answer = await client.topN({ ...TOP, campaign_ids: ['c1'] });
    expect(answer).toMatchObject({
      entries: [{ value: 'NP', metrics: { clicks: 5, gross_clicks: 5 } }],
      total: { clicks: 9 },
      info: { arrived_through_ms: 77, partial: false },
      status: 'PROVISIONAL',
    });
    expect(rankings).toEqual([
      {
        count: 'clicks',
        most: 10,
        question: {
          ads: [askedAd('a', 'c1', 'v1')],
          range: { fromMs: MARCH_MS, toMs: MARCH_MS + DAY_MS },
          width: 'WHOLE',
          timeZone: 'UTC',
          groupBy: ['country'],
          filters: [],
        },
      },
    ]);
  });

  it.each<[string, Partial<TopNRequest>, string]>([
    ['a misspelt dimension', { dimension: 'contry' }, 'did you mean country?'],
    ['a rate', { metric: 'repeat_rate' }, 'metric "repeat_rate" is wrong'],
    ['too many', { n: 1_001 }, 'n 1001 is wrong: it must be 1 to 1000'],
    ['a range off the quarter', { to_ms: MARCH_MS + 60_000 }, 'on a whole quarter of an hour'],
    [
      'what is not rolled up',
      { filters: [{ dimension: 'os', include: ['iOS'] }] },
      'dimension and filters ask for country with os',
    ],
    ['ads twice over', { ad_ids: ['a'], advertiser_ids: ['v'] }, 'advertiser_ids is given besides ad_ids'],
  ])('with %s is refused', async (_what, changes, words) => {
    const { client, rankings } = await setUp(() => 0);
    expect(await refusal(client.topN({ ...TOP, ...changes }))).toContain(words);
    expect(rankings).toEqual([]);
  });
});

describe('a comparison', () => {
  const clicks = (left: number, right: number) =>
    setUp(({ ads }) => (ads?.[0]?.ad_id === 'a' ? left : right));

  it('tells difference, ratio, share, and how probable it is by chance', async () => {
    const { client } = await clicks(51, 184);
    const answer = await client.compareAggregates({
      left: { ...SIDES.left, exposure: 1_000 },
      right: { ...SIDES.right, exposure: 5_000 },
    });
    expect(answer).toMatchObject({
      difference: -133,
      ratio: 51 / 184,
      share: 51 / 235,
      test: 'exact binomial',
    });
    expect(answer.expected_share).toBeCloseTo(1 / 6, 12);
    expect(answer.p_value).toBeCloseTo(0.0437, 4);
    expect(answer.left?.clicks).toBe(51);
    expect(answer.right_info).toMatchObject({ partial: true, missing_shards: [0] });
  });

  it('takes the lengths of the ranges where no exposure is given, and says nothing where there is nothing', async () => {
    const { client } = await clicks(0, 0);
    const longer = { ...SIDES.right, to_ms: MARCH_MS + 3 * DAY_MS };
    const answer = await client.compareAggregates({ ...SIDES, right: longer });
    expect(answer.expected_share).toBe(1 / 4);
    expect([answer.ratio, answer.share, answer.p_value]).toEqual([undefined, undefined, undefined]);
  });

  it.each<[string, CompareAggregatesRequest, string]>([
    ['one side', { left: SIDES.left }, 'right is not given'],
    [
      'one exposure',
      { ...SIDES, left: { ...SIDES.left, exposure: 5 } },
      'right.exposure is not given, but left.exposure is',
    ],
    [
      'an exposure of nothing',
      { ...SIDES, right: { ...SIDES.right, exposure: 0 } },
      'right.exposure 0 is wrong',
    ],
    [
      'an exposure that is nothing beside the other',
      {
        left: { ...SIDES.left, exposure: 1 },
        right: { ...SIDES.right, exposure: Number.MIN_VALUE },
      },
      'left.exposure 1 is wrong with right.exposure 5e-324',
    ],
    [
      'exposures whose sum is no number',
      {
        left: { ...SIDES.left, exposure: 1e308 },
        right: { ...SIDES.right, exposure: 1e308 },
      },
      'left.exposure 1e+308 is wrong with right.exposure 1e+308',
    ],
    ['a bad range', { ...SIDES, right: { ...SIDES.right, to_ms: 0 } }, 'right.to_ms 0 is wrong'],
    ['an unknown metric', { ...SIDES, metric: 'cliks' }, 'did you mean clicks?'],
  ])('of %s is refused', async (_what, request, words) => {
    const { client } = await clicks(1, 1);
    expect(await refusal(client.compareAggregates(request))).toContain(words);
  });
});
