/** Which part of a stream is replayed, and when there is no answer. */
import { describe, expect, it } from 'vitest';
import { replayRange, replayStartMs } from '../../src/domain/replayRange.ts';
import { NOON_MS, RULES } from '../support/clicks.ts';

const SHARD = { shard: 3, incarnation: 'one', floor: 50, records: 200, deadLetters: 0 };
const stream = (changes: object = {}) => ({
  incarnation: 'one',
  firstSequence: 1,
  lastSequence: 60,
  brokerTimeMs: NOON_MS,
  ...changes,
});

describe('the range of a replay', () => {
  it('is everything up to the floor, though the stream goes on', () => {
    expect(replayRange(SHARD, stream(), undefined)).toEqual({
      shard: 3,
      incarnation: 'one',
      fromSequence: 1,
      throughSequence: 50,
    });
  });

  it('begins skew, horizon and a day before the first minute', () => {
    expect(replayStartMs(NOON_MS, RULES)).toBe(NOON_MS - 5_000 - 600_000 - 86_400_000);
    expect(replayStartMs(1_000, RULES)).toBe(0);
    expect(replayRange(SHARD, stream({ firstSequence: 7 }), 20).fromSequence).toBe(20);
  });

  it('is undecided where the stream does not hold its start any more', () => {
    expect(() => replayRange(SHARD, stream({ firstSequence: 2 }), undefined)).toThrow(
      'begins at sequence 2: what was counted before is not on it any more',
    );
    expect(() => replayRange(SHARD, stream({ firstSequence: 7 }), 7)).toThrow('right is a later --from');
    expect(replayRange(SHARD, stream(), 1).fromSequence).toBe(1);
    expect(replayRange(SHARD, stream({ firstSequence: 7 }), 8).fromSequence).toBe(8);
  });

  it('is undecided on another stream, and on one that ends before the floor', () => {
    expect(() => replayRange(SHARD, stream({ incarnation: 'two' }), undefined)).toThrow('was made anew');
    expect(() => replayRange(SHARD, stream({ lastSequence: 49 }), undefined)).toThrow('ends at sequence 49');
    expect(replayRange(SHARD, stream({ lastSequence: 50 }), undefined).throughSequence).toBe(50);
  });
});
