/** What a recount holds between two portions: bounded, and nothing twice. */
import { describe, expect, it } from 'vitest';
import { NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { Recount } from '../../src/domain/recount.ts';
import type { ReplayRecord } from '../../src/domain/replayRecord.ts';
import { NOON_MS, uuid7At } from '../support/clicks.ts';

const ALL = { fromMs: undefined, toMs: undefined, adIds: undefined };
const MINUTE_MS = 60_000;
const LINUX = { ...NO_DIMENSIONS, os: 'Linux' };
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

  it('counts dimensions in the whole of each quarter that the range touches, and windows in the range alone', () => {
    const from = NOON_MS + 7 * MINUTE_MS;
    const recount = new Recount({ fromMs: from, toMs: from + MINUTE_MS, adIds: undefined });
    for (let minute = -1; minute <= 15; minute++)
      recount.add(recordAt(NOON_MS + minute * MINUTE_MS, LINUX), { letter: 'V', isLate: false });
    const { windows, rollups } = recount.take();
    expect(windows.map(({ minute }) => minute)).toEqual([from]);
    expect(rollups).toMatchObject([{ adId: 'ad', quarter: NOON_MS, kind: 4, value: 'Linux', valid: 15 }]);
  });

  it('counts a late duplicate by no dimension, and a click of which nothing is known in no rollup', () => {
    const recount = new Recount(ALL);
    recount.add(recordAt(NOON_MS, LINUX), { letter: 'D', isLate: true });
    recount.add(recordAt(NOON_MS), { letter: 'V', isLate: false });
    expect(recount.take()).toMatchObject({ windows: [{ late: 1 }], rollups: [] });
  });

  it('is full at 100,000 rows of rollups, whatever they add up to', () => {
    const recount = new Recount(ALL);
    const add = (combination: number) =>
      recount.add(recordAt(NOON_MS, { ...LINUX, os: `os ${combination}`, browser: 'Firefox' }), {
        letter: 'V',
        isLate: false,
      });
    for (let combination = 1; combination < 50_000; combination++) add(combination);
    expect(recount.isFull).toBe(false);
    add(50_000);
    expect(recount.isFull).toBe(true);
    expect(recount.take().rollups).toHaveLength(50_001);
    expect(recount.isFull).toBe(false);
  });
});
