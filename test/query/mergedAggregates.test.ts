/** Stored counts and live deltas, matched and added up. */
import { describe, expect, it } from 'vitest';
import type { LiveDelta, OwnedCheckpoint } from '../../src/domain/aggregates.ts';
import type { DispositionCounts } from '../../src/domain/windowCounts.ts';
import { matchDeltas, mergeAggregates } from '../../src/query/mergedAggregates.ts';
import { NOON_MS } from '../support/clicks.ts';

const NOTHING: DispositionCounts = { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };

function checkpointOf(shard: number, changes: Partial<OwnedCheckpoint> = {}): OwnedCheckpoint {
  return {
    shard,
    owner: 'node-1',
    epoch: 3,
    claim: 'claim-3',
    floor: 10,
    arrivedThroughMs: NOON_MS,
    ...changes,
  };
}

function deltaOf(shard: number, changes: Partial<LiveDelta> = {}): LiveDelta {
  return {
    shard,
    epoch: 3,
    claim: 'claim-3',
    floor: 10,
    arrivedThroughMs: NOON_MS + 500,
    rows: [],
    ...changes,
  };
}

describe('a delta', () => {
  it('counts where it is relative to the very checkpoint that was read', () => {
    const deltas = [deltaOf(0), deltaOf(1)];
    const answers = new Map([['node-1', deltas]]);
    expect(matchDeltas([checkpointOf(0), checkpointOf(1)], answers)).toEqual({
      kind: 'matched',
      deltas,
      missing: [],
    });
  });

  it.each([{ epoch: 4 }, { epoch: 2 }, { claim: 'claim-4' }, { floor: 11 }, { floor: 9 }])(
    'relative to another one (%j) means read again',
    (other) => {
      const answers = new Map([['node-1', [deltaOf(0), deltaOf(1, other)]]]);
      expect(matchDeltas([checkpointOf(0), checkpointOf(1)], answers)).toEqual({ kind: 'moved' });
    },
  );

  it('is missing where nobody owns the shard, its owner is silent, or does not have it', () => {
    const checkpoints = [
      checkpointOf(0, { owner: undefined }),
      checkpointOf(1, { owner: 'node-2' }),
      checkpointOf(2, { owner: 'node-3' }),
      checkpointOf(3),
    ];
    const answers = new Map<string, LiveDelta[] | undefined>([
      ['node-1', [deltaOf(3), deltaOf(0)]],
      ['node-2', undefined],
    ]);
    const match = matchDeltas(checkpoints, answers);
    expect(match).toEqual({ kind: 'matched', deltas: [deltaOf(3)], missing: checkpoints.slice(0, 3) });
  });

  it('of a shard comes from the owner that the snapshot names, from nobody else', () => {
    const answers = new Map([
      ['node-1', [deltaOf(0, { floor: 10 })]],
      ['node-2', [deltaOf(0, { floor: 99 })]],
    ]);
    expect(matchDeltas([checkpointOf(0)], answers)).toMatchObject({
      kind: 'matched',
      deltas: [{ floor: 10 }],
    });
  });
});

describe('merging', () => {
  it('adds what is stored and what is live, by ad and bucket, over sub-shards too', () => {
    const hour = NOON_MS;
    const merged = mergeAggregates(
      { rows: [{ adId: 'b', bucketMs: hour, ...NOTHING, valid: 5, givt: 1 }], checkpoints: [] },
      [
        deltaOf(0, { rows: [{ adId: 'b', minute: hour + 60_000, ...NOTHING, valid: 1, repeat: 2 }] }),
        deltaOf(1, {
          rows: [
            { adId: 'b', minute: hour, ...NOTHING, valid: 1, sivt: 3, defective: 4, test: 5 },
            { adId: 'a', minute: hour + 3_600_000, ...NOTHING, valid: 7 },
            { adId: 'a', minute: hour, ...NOTHING, valid: 6 },
          ],
        }),
      ],
      [],
      'HOUR',
    );
    expect(merged.rows).toEqual([
      { adId: 'a', bucketMs: hour, ...NOTHING, valid: 6 },
      { adId: 'a', bucketMs: hour + 3_600_000, ...NOTHING, valid: 7 },
      { adId: 'b', bucketMs: hour, valid: 7, repeat: 2, givt: 1, sivt: 3, defective: 4, test: 5 },
    ]);
  });

  it('changes nothing of what it was given', () => {
    const stored = Object.freeze({ adId: 'a', bucketMs: NOON_MS, ...NOTHING, valid: 1 });
    const live = Object.freeze({ adId: 'a', minute: NOON_MS, ...NOTHING, valid: 1 });
    const merge = () =>
      mergeAggregates({ rows: [stored], checkpoints: [] }, [deltaOf(0, { rows: [live] })], [], 'MINUTE').rows;
    expect(merge()).toEqual(merge());
    expect(merge()[0]?.valid).toBe(2);
  });

  it('keeps ads apart whose names and times run together', () => {
    const { rows } = mergeAggregates(
      {
        rows: [
          { adId: '1 a', bucketMs: 60_000, ...NOTHING, valid: 1 },
          { adId: 'a', bucketMs: 60_000, ...NOTHING, valid: 2 },
          { adId: '60000 a', bucketMs: 0, ...NOTHING, valid: 4 },
        ],
        checkpoints: [],
      },
      [],
      [],
      'MINUTE',
    );
    expect(rows.length).toBe(3);
  });

  it('is as fresh as its oldest part: an owner’s answer, or the checkpoint of a missing one', () => {
    const fresh = (deltas: LiveDelta[], missing: OwnedCheckpoint[]) =>
      mergeAggregates({ rows: [], checkpoints: [] }, deltas, missing, 'MINUTE');
    expect(fresh([deltaOf(0), deltaOf(1, { arrivedThroughMs: NOON_MS + 400 })], []).arrivedThroughMs).toBe(
      NOON_MS + 400,
    );
    const partial = fresh([deltaOf(0)], [checkpointOf(2, { arrivedThroughMs: 7 }), checkpointOf(1)]);
    expect(partial).toMatchObject({ arrivedThroughMs: 7, missingShards: [2, 1] });
    expect(fresh([], []).arrivedThroughMs).toBe(0);
  });
});
