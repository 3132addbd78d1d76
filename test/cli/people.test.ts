/** The table of people: what stands in it, and how sure it says to be. */
import { describe, expect, test } from 'vitest';
import { renderNobody, renderPeople } from '../../src/cli/people/peopleTable.ts';
import type { UniquesRow__Output } from '../../src/contract/generated/clickledger/v1/UniquesRow.ts';

const MIDNIGHT = Date.UTC(2026, 0, 31);

describe('the table of people', () => {
  test('says how each number was counted', () => {
    const rows = [
      rowOf({ people: 12 }),
      rowOf({ ad_id: 'b', people: 1_234_567, method: 'HYPERLOGLOG', standard_error: 0.01625 }),
      rowOf({ ad_id: 'c', people: 3, summed_unions: 2 }),
    ];
    expect(linesOf(renderPeople(rows, 'DAY', 'UTC'))).toEqual([
      ['ad', 'time (UTC)', 'people', 'how sure'],
      ['a', '2026-01-31', '12', 'exact'],
      ['b', '2026-01-31', '1,234,567', '± 1.6 % (standard error)'],
      ['c', '2026-01-31', '3', 'exact, sum of 2 months'],
    ]);
  });

  test('shows the clock of the zone, and campaigns', () => {
    const rows = [rowOf({ ad_id: '', campaign_id: 'spring' })];
    expect(linesOf(renderPeople(rows, 'HOUR', 'America/New_York'))).toEqual([
      ['campaign', 'time (America/New_York)', 'people', 'how sure'],
      ['spring', '2026-01-30 19:00', '1', 'exact'],
    ]);
  });

  test('says who was asked for where nobody is', () => {
    expect(renderNobody(['a', 'b'], { fromMs: MIDNIGHT, toMs: MIDNIGHT + 3_600_000 })).toBe(
      'nobody clicked a, b between 2026-01-31 00:00 and 2026-01-31 01:00 UTC, as far as is known',
    );
  });
});

function rowOf(changes: Partial<UniquesRow__Output>): UniquesRow__Output {
  return {
    ad_id: 'a',
    campaign_id: '',
    from_ms: MIDNIGHT,
    to_ms: MIDNIGHT + 86_400_000,
    people: 1,
    method: 'EXACT',
    standard_error: 0,
    summed_unions: 1,
    ...changes,
  };
}

function linesOf(table: string): string[][] {
  return Bun.stripANSI(table)
    .split('\n')
    .map((line) => line.trimEnd().split(/\s{2,}/));
}
