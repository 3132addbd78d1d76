/** Options of questions, and how answers in groups and zones look. */
import { describe, expect, it } from 'vitest';
import { renderRows, renderTop } from '../../src/cli/query/aggregateTable.ts';
import { renderComparison } from '../../src/cli/query/comparison.ts';
import { addFilter, adFields, stepOf } from '../../src/cli/query/questionOptions.ts';
import type { CompareAggregatesResponse__Output } from '../../src/contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import type { COUNTS } from '../../src/domain/ranking.ts';

type Metric = (typeof COUNTS)[number];

const METRICS = {
  clicks: 3,
  gross_clicks: 3,
  repeat_clicks: 0,
  general_invalid_clicks: 0,
  sophisticated_invalid_clicks: 0,
  defective_clicks: 0,
  test_clicks: 0,
};
const INFO = {
  arrived_through_ms: 0,
  partial: false,
  missing_shards: [],
  settled_through_ms: 0,
  final_through_ms: 0,
};
const DAYS = { granularity: 'DAY', timeZone: 'UTC', metrics: [] } as const;
const lines = (text: string) =>
  text.split('\n').map((line) =>
    Bun.stripANSI(line)
      .trim()
      .split(/\s{2,}/),
  );

describe('a filter', () => {
  it('includes values, or excludes them; an empty one is not known', () => {
    expect(addFilter('os=iOS,Android', [])).toEqual([{ dimension: 'os', include: ['iOS', 'Android'] }]);
    expect(addFilter('country!=', [{ dimension: 'os' }])).toEqual([
      { dimension: 'os' },
      { dimension: 'country', exclude: [''] },
    ]);
    expect(() => addFilter('os', [])).toThrow('right is os=iOS,Android');
  });

  it('of a dimension of clicks makes ranges go by quarters of an hour', () => {
    expect(stepOf(['ad_id'], [{ dimension: 'campaign_id' }])).toBe(60_000);
    expect(stepOf(['ad_id'], [{ dimension: 'os' }])).toBe(15 * 60_000);
    expect(stepOf(['country'], [])).toBe(15 * 60_000);
    expect(adFields(['a', 'a'], { filter: [] })).toMatchObject({ ad_ids: ['a'], campaign_ids: [] });
  });
});

describe('an answer', () => {
  it('has a column for each dimension, and times of its zone', () => {
    const group = [
      { dimension: 'country', value: 'NP' },
      { dimension: 'device_type', value: '' },
    ];
    const from_ms = Date.UTC(2026, 0, 30, 18, 15);
    const row = {
      ad_id: '',
      from_ms,
      to_ms: 0,
      status: 'SETTLED',
      revision: 0,
      group,
      metrics: METRICS,
    } as const;
    const [head, first, total] = lines(renderRows([row], { ...DAYS, timeZone: 'Asia/Kathmandu' }));
    expect(head?.slice(0, 3)).toEqual(['country', 'device_type', 'time (Asia/Kathmandu)']);
    expect(first?.slice(0, 4)).toEqual(['NP', '(not known)', '2026-01-31', '3']);
    expect(total?.slice(0, 3)).toEqual(['total', '1 row', '3']);
    const [all, , sum] = lines(renderRows([{ ...row, group: [] }], DAYS));
    expect([all?.[0], sum?.[0]]).toEqual(['time (UTC)', 'total, 1 row']);
  });

  it('for the largest ends with everything', () => {
    const entries = [{ value: 'NP', metrics: METRICS }];
    const total = { ...METRICS, clicks: 1_000 };
    const shown = lines(renderTop('country', { entries, total, info: null, status: 'FINAL' }));
    expect(shown.map(([name, clicks]) => [name, clicks])).toEqual([
      ['country', 'clicks'],
      ['NP', '3'],
      ['all', '1,000'],
    ]);
  });

  it('of a comparison says whether it may be by chance', () => {
    const answer = {
      left: { ...METRICS, clicks: 51 },
      right: { ...METRICS, clicks: 184 },
      difference: -133,
      ratio: 51 / 184,
      share: 51 / 235,
      expected_share: 1 / 6,
      p_value: 0.0437,
      test: 'exact binomial',
      left_info: null,
      right_info: null,
      left_status: 'FINAL',
      right_status: 'FINAL',
    } as const;
    const hours = (fromMs: number) => ({ fromMs, toMs: fromMs + 3_600_000 });
    const sides = [
      { name: 'a,b', ...hours(Date.UTC(2026, 0, 2)) },
      { name: 'the same', ...hours(Date.UTC(2026, 0, 1)) },
    ] as const;
    const show = (changes: Partial<CompareAggregatesResponse__Output>, metric: Metric = 'clicks') =>
      renderComparison([...sides], metric, { ...answer, ...changes }, 0);
    const shown = show({});
    expect(lines(shown).slice(0, 3)).toEqual([
      ['from (UTC)', 'to (UTC)', 'clicks', 'status'],
      ['a,b', '2026-01-02 00:00', '2026-01-02 01:00', '51', 'final'],
      ['the same', '2026-01-01 00:00', '2026-01-01 01:00', '184', 'final'],
    ]);
    expect(shown).toContain('difference -133, ratio 0.277\n');
    expect(shown).toContain('a,b has 21.70 % where 16.67 % would be no difference');
    expect(shown).toContain('p = 0.0437 (exact binomial): hardly by chance');
    expect(show({ p_value: 0.5 })).toContain('this may be by chance');
    expect(show({ p_value: 0 })).toContain('p < 0.000001 (exact binomial): hardly by chance');
    expect(lines(show({}, 'gross_clicks'))[1]?.[3]).toBe('3');
    const { share: _, p_value: __, ratio: ___, ...none } = answer;
    expect(renderComparison([...sides], 'clicks', { ...none, difference: 0 }, 0)).toContain(
      'difference 0: both sides have none',
    );
    const right_info = { ...INFO, partial: true, missing_shards: [3] };
    expect(Bun.stripANSI(show({ left_info: INFO, right_info }))).toContain('partial: shard 3 did not answer');
  });
});
