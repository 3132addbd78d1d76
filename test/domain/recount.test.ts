/** What a recount holds between two portions: bounded, and nothing twice. */
import { describe, expect, it } from 'vitest';
import { NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { Recount } from '../../src/domain/recount.ts';
import type { ReplayRecord } from '../../src/domain/replayRecord.ts';
import { NOON_MS, uuid7At } from '../support/clicks.ts';

const ALL = { fromMs: undefined, toMs: undefined, adIds: undefined };
const recordAt = (minute: number, dimensions = NO_DIMENSIONS): ReplayRecord => ({
  dimensions,
  streamSeconds: 0,
  impressionId: undefined,
  refused: undefined,
  minute,
  adId: 'ad',
  clickId: uuid7At(NOON_MS),
});

describe('a recount', () => {
  it('is full at 10,000 windows, and empty when they are taken', () => {
    const recount = new Recount(ALL);
    for (let minute = 0; minute < 9_999; minute++)
      recount.add(recordAt(minute), { letter: 'V', isLate: false });
    recount.add(recordAt(0), { letter: 'R', isLate: false });
    expect(recount.isFull).toBe(false);
    recount.add(recordAt(9_999), { letter: 'V', isLate: false });
    expect(recount.isFull).toBe(true);
    expect(recount.take().windows).toHaveLength(10_000);
    expect(recount.isFull).toBe(false);
    expect(recount.take()).toEqual({ windows: [], rollups: [] });
  });

  it('counts a late duplicate in no bucket, but names it; an ordinary one opens no window', () => {
    const recount = new Recount(ALL);
    recount.add(recordAt(1), { letter: 'D', isLate: false });
    recount.add(recordAt(2), { letter: 'D', isLate: true });
    recount.add(recordAt(3), { letter: 'R', isLate: true });
    const taken = recount
      .take()
      .windows.map(({ minute, late, counts }) => [minute, late, counts.valid, counts.repeat]);
    expect(taken).toEqual([
      [2, 1, 0, 0],
      [3, 1, 0, 1],
    ]);
  });
});
