/** Order, pages and filled rows of an answer. */
import { expect, it } from 'vitest';
import type { QueryAggregatesRequest__Output as Request } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { StoredRow } from '../../src/domain/aggregates.ts';
import { emptyDispositions } from '../../src/domain/windowCounts.ts';
import { aggregateAnswers } from '../../src/query/aggregateAnswers.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import { noPast, UNSETTLED } from '../support/unsettled.ts';

const HOUR_MS = 3_600_000;
const FROM_MS = Date.UTC(2024, 2, 1);

const row = (adId: string, hour: number, valid: number): StoredRow => ({
  group: [adId],
  bucketMs: FROM_MS + hour * HOUR_MS,
  ...emptyDispositions(),
  valid,
});

/** Clicks by "ad hour" of an answer, in its order. */
async function ask(rows: () => StoredRow[], changes: Partial<Request>) {
  const reader = new AggregateReader({
    readStored: async () => ({ ...UNSETTLED, rows: rows(), checkpoints: [] }),
    readPast: noPast,
    askOwner: async () => [],
  });
  const request: Request = {
    ad_ids: ['a', 'b'],
    campaign_ids: [],
    advertiser_ids: [],
    from_ms: FROM_MS,
    to_ms: FROM_MS + 3 * HOUR_MS,
    granularity: 'HOUR',
    min_status: 'ROW_STATUS_UNSPECIFIED',
    time_zone: '',
    group_by: [],
    filters: [],
    metrics: [],
    order_by: '',
    page_size: 0,
    page_token: '',
    fill: false,
    ...changes,
  };
  const answer = aggregateAnswers({ reader, readAds: async () => [] });
  const { rows: found = [], next_page_token: next = '' } = await answer(
    request,
    new AbortController().signal,
  );
  const shown = found.map(
    ({ ad_id, from_ms, metrics }) => `${ad_id}${(Number(from_ms) - FROM_MS) / HOUR_MS}=${metrics?.clicks}`,
  );
  return { shown, next };
}

const ROWS = [row('b', 0, 5), row('a', 2, 7), row('a', 0, 5)];

it('is ordered by group and time, or by a metric', async () => {
  expect((await ask(() => ROWS, {})).shown).toEqual(['a0=5', 'a2=7', 'b0=5']);
  expect((await ask(() => ROWS, { order_by: 'clicks' })).shown).toEqual(['a0=5', 'b0=5', 'a2=7']);
  expect((await ask(() => ROWS, { order_by: 'clicks desc' })).shown).toEqual(['a2=7', 'a0=5', 'b0=5']);
  await expect(ask(() => ROWS, { order_by: 'clicks up' })).rejects.toThrow('order_by "clicks up" is wrong');
});

it('comes in pages, each row once, also where rows come in between', async () => {
  const rows = [...ROWS];
  const first = await ask(() => rows, { page_size: 2 });
  expect(first.shown).toEqual(['a0=5', 'a2=7']);
  rows.push(row('a', 1, 1));
  const second = await ask(() => rows, { page_size: 2, page_token: first.next });
  expect(second).toEqual({ shown: ['b0=5'], next: '' });
  const other = ask(() => rows, { page_token: first.next, order_by: 'clicks' });
  await expect(other).rejects.toThrow('page_token is wrong');
});

it('is filled with rows of zeros for each ad and hour, no more than may be', async () => {
  const { shown } = await ask(() => ROWS, { fill: true });
  expect(shown).toEqual(['a0=5', 'a1=0', 'a2=7', 'b0=5', 'b1=0', 'b2=0']);
  const many = { fill: true, to_ms: FROM_MS + 25_001 * HOUR_MS };
  await expect(ask(() => ROWS, many)).rejects.toThrow('more than 50000 rows');
});

it('names of metrics leave the others away, and wrong names are told what was meant', async () => {
  expect((await ask(() => ROWS, { metrics: ['gross_clicks'] })).shown[0]).toBe('a0=undefined');
  await expect(ask(() => ROWS, { metrics: ['click'] })).rejects.toThrow('did you mean clicks?');
  await expect(ask(() => ROWS, { time_zone: 'Asia/Katmandoo' })).rejects.toThrow('did you mean Asia/Kat');
  await expect(ask(() => ROWS, { group_by: ['os', 'country'] })).rejects.toThrow('not rolled up together');
});
