/** Whatever is asked is answered, or refused with the field that is wrong: no request is a failure of the service. */
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCallError } from '../../src/contract/callErrors.ts';
import { GROUP_DIMENSIONS } from '../../src/domain/groups.ts';
import { emptyDispositions } from '../../src/domain/windowCounts.ts';
import { aggregateAnswers } from '../../src/query/aggregateAnswers.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import { compareAnswers } from '../../src/query/compareAnswers.ts';
import { topAnswers } from '../../src/query/topAnswers.ts';
import { uniquesAnswers } from '../../src/query/uniquesAnswers.ts';
import { noPast, UNSETTLED } from '../support/unsettled.ts';

const RUNS = 2_000;
const DETAILS_MAX = 2_000;
const FIELDS =
  /^(?:(?:left|right)\.)?(?:ad_ids|campaign_ids|advertiser_ids|from_ms|to_ms|granularity|min_status|as_of_ms|time_zone|group_by|filters|metrics?|order_by|page_size|page_token|dimension|n|left|right|exposure)\b/;
const NEVER = new AbortController().signal;
const NOW = Date.UTC(2026, 10, 22);

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);
const text = fc.oneof(
  oneOf('', 'a', '\0', '__proto__', 'constructor', '../etc', 'UTC+25', 'EST5EDT', 'x'.repeat(50_000)),
  oneOf('clicks', 'clicks desc', 'time', 'total', 'UTC', 'Asia/Kathmandu', 'America/New_York', 'W10'),
  fc.string({ unit: 'binary' }),
);
const moment = fc.oneof(
  oneOf(0, 1, -60_000, NOW, NOW - 3_600_000, NOW + 86_400_000, 2 ** 53, Number.MAX_SAFE_INTEGER, 2 ** 63),
  oneOf(8.64e15, 8.64e15 - 60_000, Date.UTC(9999, 0), Date.UTC(9999, 0) - 60_000, Date.UTC(9998, 11)),
);
const number = fc.oneof(oneOf(0, 1, -1, 1_001, 50_001, 2 ** 31 - 1, -(2 ** 31)), fc.integer());
/** A number where the contract has no name for what was sent. */
const granularity = oneOf<string | number>(
  'MINUTE',
  'HOUR',
  'DAY',
  'WEEK',
  'MONTH',
  'GRANULARITY_UNSPECIFIED',
  99,
  -1,
);
const rowStatus = oneOf<string | number>('ROW_STATUS_UNSPECIFIED', 'PROVISIONAL', 'FINAL', 9);
const texts = fc.array(text, { maxLength: 3 });
const filters = fc.array(
  fc.record({ dimension: fc.oneof(oneOf(...GROUP_DIMENSIONS), text), include: texts, exclude: texts }),
  { maxLength: 2 },
);
const ads = {
  ad_ids: texts,
  campaign_ids: oneOf<string[]>([], ['c']),
  advertiser_ids: oneOf<string[]>([], ['v']),
};
const range = { from_ms: moment, to_ms: moment };
const exposure = oneOf(undefined, 0, -1, 1, 1e308, 5e-324, Number.NaN, Infinity);
const side = fc.option(fc.record({ ...ads, ...range, filters, exposure }));

const reader = new AggregateReader({
  readStored: async () => ({ ...UNSETTLED, rows: [], checkpoints: [] }),
  readPast: noPast,
  askOwner: async () => undefined,
});
const parts = { reader, readAds: async () => [] };
const top = topAnswers({
  ...parts,
  readTop: async () => ({
    ...UNSETTLED,
    entries: [],
    total: emptyDispositions(),
    differing: undefined,
    checkpoints: [],
  }),
});
const uniques = uniquesAnswers(async () => ({ kind: 'tooManyAds' }));
const question = fc.record({
  ...ads,
  ...range,
  granularity,
  min_status: rowStatus,
  as_of_ms: fc.option(moment, { nil: undefined, freq: 9 }),
  time_zone: text,
  group_by: fc.array(fc.oneof(oneOf(...GROUP_DIMENSIONS), text), { maxLength: 2 }),
  filters,
  metrics: texts,
  order_by: text,
  page_size: number,
  page_token: oneOf('', 'W10', '5.a', 'x'.repeat(9_999)),
  fill: oneOf(false),
});

/** @param ask with a request of the contract's form, but for numbers of enumerations that it has no names for */
function refusesOnly<Request>(request: fc.Arbitrary<unknown>, ask: (request: Request) => Promise<unknown>) {
  return fc.assert(
    fc.asyncProperty(request, async (asked) => {
      const error = await ask(asked as Request).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error === undefined) return;
      expect(error).toSatisfy(isCallError);
      const { code, details } = error as { code: status; details: string };
      if (code === status.FAILED_PRECONDITION) return;
      expect(code).toBe(status.INVALID_ARGUMENT);
      expect(details).toMatch(FIELDS);
      expect(details.length).toBeLessThan(DETAILS_MAX);
    }),
    { numRuns: RUNS },
  );
}

describe('no question is a failure of the service', { timeout: 60_000 }, () => {
  it('of QueryAggregates', () =>
    refusesOnly(question, (asked: Parameters<ReturnType<typeof aggregateAnswers>>[0]) =>
      aggregateAnswers(parts)(asked, NEVER),
    ));

  it('of TopN', () =>
    refusesOnly(
      fc.record({
        dimension: fc.oneof(oneOf(...GROUP_DIMENSIONS), text),
        metric: text,
        n: number,
        ...range,
        ...ads,
        filters,
      }),
      (asked: Parameters<typeof top>[0]) => top(asked, NEVER),
    ));

  it('of CompareAggregates', () =>
    refusesOnly(
      fc.record({ left: side, right: side, metric: text }),
      (asked: Parameters<ReturnType<typeof compareAnswers>>[0]) => compareAnswers(parts)(asked, NEVER),
    ));

  it('of QueryUniques', () =>
    refusesOnly(
      fc.record({ ...ads, ...range, granularity, time_zone: text }),
      (asked: Parameters<typeof uniques>[0]) => uniques(asked, NEVER),
    ));
});
