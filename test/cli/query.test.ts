/** Ranges as people write them, and the table that they get. */
import { describe, expect, it } from 'vitest';
import { renderFreshness, renderNothing, renderRows } from '../../src/cli/query/aggregateTable.ts';
import { parseTimeRange } from '../../src/cli/query/timeRange.ts';
import type { AggregateRow__Output } from '../../src/contract/generated/clickledger/v1/AggregateRow.ts';
import type { Granularity } from '../../src/domain/granularity.ts';

const NOW_MS = Date.UTC(2026, 0, 31, 12, 30, 20, 500);
const minute = (hour: number, minutes: number, day = 31) => Date.UTC(2026, 0, day, hour, minutes);

describe('a range of time', () => {
  it.each([
    ['-1h', 'now', minute(11, 30), minute(12, 31)],
    ['-7d', '-1d', minute(12, 30, 24), minute(12, 31, 30)],
    ['2026-01-31T10:00Z', '2026-01-31T11:00Z', minute(10, 0), minute(11, 0)],
    ['2026-01-31T10:00:59Z', '2026-01-31T10:01:01Z', minute(10, 0), minute(10, 2)],
    ['2026-01-31 15:45+05:45', '2026-01-31', minute(10, 0), minute(0, 0)],
  ])('from %s to %s goes outward to whole minutes', (from, to, fromMs, toMs) => {
    if (fromMs < toMs) expect(parseTimeRange(from, to, NOW_MS)).toEqual({ fromMs, toMs });
    else expect(() => parseTimeRange(from, to, NOW_MS)).toThrow('is not before');
  });

  it.each([
    ['2026-01-01', '2026-02-01', Date.UTC(2025, 11, 31, 18, 15), Date.UTC(2026, 0, 31, 18, 15)],
    ['2026-01-31 12:00', '2026-01-31T12:00:30', minute(6, 15), minute(6, 16)],
    ['2026-01-31T12:00Z', '2026-01-31T18:00+05:45', minute(12, 0), minute(12, 15)],
    ['-1h', 'now', minute(11, 30), minute(12, 31)],
    ['1769860800', '1769864400000', minute(12, 0), minute(13, 0)],
  ])('of Kathmandu from %s to %s is by its clock where no zone is named', (from, to, fromMs, toMs) => {
    expect(parseTimeRange(from, to, NOW_MS, { timeZone: 'Asia/Kathmandu' })).toEqual({ fromMs, toMs });
  });

  it('of a day that begins at one in the morning begins then', () => {
    // In Lebanon the clock goes from 24:00 to 01:00.
    const { fromMs } = parseTimeRange('2025-03-30', 'now', NOW_MS, { timeZone: 'Asia/Beirut' });
    expect(fromMs).toBe(Date.UTC(2025, 2, 29, 22, 0));
  });

  it('names the option that is wrong and what would be right', () => {
    expect(() => parseTimeRange('-1week', 'now', NOW_MS)).toThrow(
      '--from -1week is no time; right are now, a span back',
    );
    expect(() => parseTimeRange('-1h', 'tomorrow', NOW_MS)).toThrow('--to tomorrow is no time');
    expect(() => parseTimeRange('now', '-1h', NOW_MS)).toThrow('--from now is not before --to -1h');
    expect(() => parseTimeRange('-1h', 'now', NOW_MS, { timeZone: 'Mars/Base' })).toThrow(
      '--time-zone Mars/Base is not known; right is an IANA name such as Asia/Kathmandu',
    );
    const options = ['--right-from', '--right-to'] as const;
    expect(() => parseTimeRange('now', '-1h', NOW_MS, { options })).toThrow(
      '--right-from now is not before --right-to -1h',
    );
    expect(() => parseTimeRange('-1h', 'soon', NOW_MS, { options })).toThrow('--right-to soon is no time');
  });
});

const form = (granularity: Granularity, metrics: string[] = []) => ({
  granularity,
  timeZone: 'UTC',
  metrics,
});

function row(adId: string, fromMs: number, clicks: number): AggregateRow__Output {
  return {
    ad_id: adId,
    from_ms: fromMs,
    to_ms: fromMs + 60_000,
    status: 'PROVISIONAL',
    revision: 0,
    group: [],
    metrics: {
      clicks,
      gross_clicks: clicks + 6,
      repeat_clicks: 1,
      general_invalid_clicks: 2,
      sophisticated_invalid_clicks: 3,
      defective_clicks: 4,
      test_clicks: 5,
    },
  };
}

describe('the table of counts', () => {
  it('shows a line a row, totals below, with millions in 105 columns', () => {
    const lines = renderRows(
      [row('kopi-first-box', minute(12, 0), 1_234_567), row('b', minute(12, 1), 10)],
      form('MINUTE'),
    )
      .split('\n')
      .map((line) => Bun.stripANSI(line).trimEnd());
    expect(lines[0]?.split(/\s{2,}/)).toEqual([
      'ad',
      'time (UTC)',
      'clicks',
      'gross',
      'repeat',
      'GIVT',
      'SIVT',
      'defective',
      'test',
      'status',
    ]);
    expect(lines[1]?.split(/\s{2,}/)).toEqual([
      'kopi-first-box',
      '2026-01-31 12:00',
      '1,234,567',
      '1,234,573',
      '1',
      '2',
      '3',
      '4',
      '5',
      'provisional',
    ]);
    expect(lines.at(-1)?.split(/\s{2,}/)).toEqual([
      'total',
      '2 rows',
      '1,234,577',
      '1,234,589',
      '2',
      '4',
      '6',
      '8',
      '10',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(105);
  });

  it('says how far a row is settled, and how often it was restated', () => {
    const restated: AggregateRow__Output = {
      ...row('a', minute(0, 0, 1), 1),
      status: 'SETTLED',
      revision: 2,
    };
    expect(renderRows([restated], form('DAY'))).toContain('  settled, revision 2');
  });

  it('ends no line in blanks', () => {
    expect(renderRows([row('a', minute(0, 0, 1), 1)], form('DAY'))).not.toMatch(/ $/m);
  });

  it('has the counts and rates that were asked for, and no zeros for the others', () => {
    const rated = row('a', minute(0, 0, 1), 10);
    if (rated.metrics !== null) rated.metrics.repeat_rate = 0.0625;
    const shown = renderRows([rated, row('b', minute(0, 0, 1), 10)], form('DAY', ['repeat_rate', 'clicks']))
      .split('\n')
      .map((line) =>
        Bun.stripANSI(line)
          .trimEnd()
          .split(/\s{2,}/),
      );
    expect(shown).toEqual([
      ['ad', 'time (UTC)', 'clicks', 'repeat %', 'status'],
      ['a', '2026-01-01', '10', '6.25', 'provisional'],
      ['b', '2026-01-01', '10', '–', 'provisional'],
      ['total', '2 rows', '20'],
    ]);
  });

  it('names a row as wide as it is', () => {
    expect(renderRows([row('a', minute(0, 0, 1), 1)], form('MONTH'))).toContain(' 2026-01 ');
    expect(renderRows([row('a', minute(0, 0, 1), 1)], form('DAY'))).toContain(' 2026-01-01 ');
  });

  it('says so where there is nothing', () => {
    expect(renderNothing(['a', 'b'], { fromMs: minute(10, 0), toMs: minute(11, 0) })).toBe(
      'no clicks of ads a, b between 2026-01-31 10:00 and 2026-01-31 11:00 UTC',
    );
  });

  it('says how fresh the counts are and what is missing', () => {
    const settled = { settled_through_ms: 0, final_through_ms: 0 };
    const fresh = { arrived_through_ms: NOW_MS - 2_000, partial: false, missing_shards: [], ...settled };
    expect(renderFreshness(fresh, NOW_MS)).toBe(
      'every click until 2026-01-31 12:30:18 UTC is counted (2 s ago)',
    );
    const partial = renderFreshness({ ...fresh, partial: true, missing_shards: [3, 7] }, NOW_MS);
    expect(Bun.stripANSI(partial)).toContain('partial: shards 3, 7 did not answer in time');
    expect(renderFreshness(null, NOW_MS)).toContain('not known yet');
  });
});
