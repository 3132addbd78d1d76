/** What a shard's owner says of counts that are not flushed yet: of some ads or of all together, with one kind's values. */
import { expect, test } from 'vitest';
import { ShardCounts } from '../../src/actors/shardCounts.ts';
import { type ClickDimensions, NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { emptyDispositions } from '../../src/domain/windowCounts.ts';
import { factsOf, NOON_MS, uuid7At } from '../support/clicks.ts';

const STEP_MS = 60_000;
const QUARTER_MS = 15 * STEP_MS;
const ALL = { fromMs: 0, toMs: 2 * NOON_MS };
const GERMANY = { ...NO_DIMENSIONS, country: 'DE', device_type: 'mobile' };
const FRANCE = { ...NO_DIMENSIONS, country: 'FR', publisher_id: 'paper' };

let numbers = 0;

function count(counts: ShardCounts, adId: string, minute: number, dimensions: ClickDimensions): void {
  const facts = factsOf({ adId, clickId: uuid7At(NOON_MS, numbers++) });
  const click = {
    facts,
    record: { dimensions, person: undefined },
    judgement: { kind: 'billable' as const },
    minute,
  };
  counts.count({ clicks: [click], deadLetters: [] }, 'V');
}

const valid = (count: number) => ({ ...emptyDispositions(), valid: count });

/** Some of it in a flush under way. */
function someCounts(): ShardCounts {
  const counts = new ShardCounts();
  count(counts, 'ad-1', NOON_MS, GERMANY);
  count(counts, 'ad-2', NOON_MS, GERMANY);
  counts.beginFlush();
  count(counts, 'ad-1', NOON_MS, { ...GERMANY });
  count(counts, 'ad-1', NOON_MS, NO_DIMENSIONS);
  count(counts, 'ad-1', NOON_MS + QUARTER_MS, FRANCE);
  count(counts, 'ad-3', NOON_MS, FRANCE);
  return counts;
}

test('rows of the same window are one, with no rollups where no kind is asked for', () => {
  expect(someCounts().live({ adIds: ['ad-1', 'unknown'], ...ALL })).toEqual({
    rows: [
      { adId: 'ad-1', minute: NOON_MS, ...valid(3) },
      { adId: 'ad-1', minute: NOON_MS + QUARTER_MS, ...valid(1) },
    ],
    rollups: [],
  });
});

test('all ads together are the ad without a name', () => {
  expect(someCounts().live({ adIds: undefined, ...ALL, kind: 1 })).toEqual({
    rows: [
      { adId: '', minute: NOON_MS, ...valid(5) },
      { adId: '', minute: NOON_MS + QUARTER_MS, ...valid(1) },
    ],
    rollups: [
      { adId: '', kind: 1, quarter: NOON_MS, value: 'DE', value2: 'mobile', ...valid(3) },
      { adId: '', kind: 1, quarter: NOON_MS + QUARTER_MS, value: 'FR', value2: '', ...valid(1) },
      { adId: '', kind: 1, quarter: NOON_MS, value: 'FR', value2: '', ...valid(1) },
    ],
  });
});

test('rollups are those of the kind, the ads and the quarters that were asked for', () => {
  const request = { adIds: ['ad-1', 'ad-3'], fromMs: NOON_MS, toMs: NOON_MS + QUARTER_MS, kind: 2 as const };
  expect(someCounts().live(request).rollups).toEqual([
    { adId: 'ad-1', kind: 2, quarter: NOON_MS, value: '', value2: 'DE', ...valid(2) },
    { adId: 'ad-3', kind: 2, quarter: NOON_MS, value: 'paper', value2: 'FR', ...valid(1) },
  ]);
});

test('a flush takes what it has once, and reading waits where its rows are at their limit', () => {
  const counts = new ShardCounts();
  let clicks = 0;
  for (; !counts.isFull; clicks++) count(counts, `ad-${clicks}`, NOON_MS, GERMANY);
  const { rows, rollups } = counts.beginFlush();
  expect(rows).toHaveLength(clicks);
  // Of two kinds each.
  expect(rollups).toHaveLength(2 * clicks);
  expect(counts.isFull).toBe(false);
  counts.flushed();
  expect(counts.beginFlush()).toMatchObject({ rows: [], rollups: [] });
});

test('a flush takes the people of valid and repeat clicks once, and reading waits where they are at their limit', () => {
  const counts = new ShardCounts();
  const see = (person: bigint | undefined, letter = 'V') => {
    const facts = factsOf({ clickId: uuid7At(NOON_MS, numbers++) });
    const record = { dimensions: NO_DIMENSIONS, person };
    const click = { facts, record, judgement: { kind: 'billable' as const }, minute: NOON_MS + STEP_MS };
    counts.count({ clicks: [click], deadLetters: [] }, letter);
  };
  for (const [person, letter] of [[1n], [2n, 'R'], [1n], [undefined], [3n, 'D']] as const)
    see(person, letter);
  expect(counts.beginFlush().people).toEqual([{ adId: 'ad-1', hour: NOON_MS, keys: new Set([1n, 2n]) }]);
  expect(counts.beginFlush().people).toEqual([]);
  for (let person = 1n; person < 100_000n; person++) see(person);
  expect(counts.isFull).toBe(false);
  see(1n);
  expect(counts.isFull).toBe(false);
  see(0n);
  expect(counts.isFull).toBe(true);
  counts.beginFlush();
  expect(counts.isFull).toBe(false);
});
