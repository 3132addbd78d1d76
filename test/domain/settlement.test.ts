/** How far minutes may be settled: as far as the slowest shard, less the grace (I16). */
import { describe, expect, it } from 'vitest';
import { settleableThroughMs } from '../../src/domain/settlement.ts';
import { NOON_MS } from '../support/clicks.ts';

const arrivals = (...ms: number[]) => ms.map((arrivedThroughMs, shard) => ({ shard, arrivedThroughMs }));

describe('minutes that may be settled', () => {
  it('end the grace before what the slowest shard has counted, on a whole minute', () => {
    const slow = NOON_MS + 59_999;
    expect(settleableThroughMs(arrivals(NOON_MS + 900_000, slow), 0)).toBe(NOON_MS);
    expect(settleableThroughMs(arrivals(NOON_MS + 900_000, slow + 1), 0)).toBe(NOON_MS + 60_000);
    expect(settleableThroughMs(arrivals(NOON_MS, NOON_MS + 900_000), 120_000)).toBe(NOON_MS - 120_000);
    expect(settleableThroughMs(arrivals(NOON_MS), 1)).toBe(NOON_MS - 60_000);
  });

  it('are none while a shard has counted nothing, or there is no shard', () => {
    expect(settleableThroughMs(arrivals(NOON_MS, 0), 0)).toBe(-Infinity);
    expect(settleableThroughMs([], 0)).toBe(-Infinity);
  });
});
