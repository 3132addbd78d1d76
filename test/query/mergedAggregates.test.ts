/** Stored counts and live deltas, matched and added up. */
import { describe, expect, it } from 'vitest';
import type { LiveDelta, OwnedCheckpoint, StoredAggregates, StoredRow } from '../../src/domain/aggregates.ts';
import type { DispositionCounts } from '../../src/domain/windowCounts.ts';
import { type MergedRow, matchDeltas, mergeAggregates } from '../../src/query/mergedAggregates.ts';
import { inOrder } from '../../src/query/rowOrder.ts';
import { NOON_MS } from '../support/clicks.ts';
import { question } from '../support/questions.ts';
import { UNSETTLED } from '../support/unsettled.ts';

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
    rollups: [],
    ...changes,
  };
}

const RANGE = { fromMs: 0, toMs: NOON_MS + 86_400_000 };
const MINUTES = question(['a', 'b'], RANGE, 'MINUTE');

const byGroup = (rows: readonly MergedRow[]) => inOrder(rows, { metric: undefined, isDescending: false });

function storedOf(rows: StoredRow[]): StoredAggregates {
  return { ...UNSETTLED, rows, checkpoints: [] };
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
      {
        ...storedOf([{ group: ['b'], bucketMs: hour, ...NOTHING, valid: 5, givt: 1 }]),
        restated: [{ ads: ['b'], bucketMs: hour, revision: 3 }],
      },
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
      question(['a', 'b'], RANGE, 'HOUR'),
    );
    const open = { status: 'PROVISIONAL', revision: 0 };
    expect(byGroup(merged.rows)).toEqual([
      { group: ['a'], bucketMs: hour, ...open, ...NOTHING, valid: 6 },
      { group: ['a'], bucketMs: hour + 3_600_000, ...open, ...NOTHING, valid: 7 },
      {
        group: ['b'],
        bucketMs: hour,
        ...open,
        revision: 3,
        valid: 7,
        repeat: 2,
        givt: 1,
        sivt: 3,
        defective: 4,
        test: 5,
      },
    ]);
  });

  it('changes nothing of what it was given', () => {
    const stored = Object.freeze({ group: ['a'], bucketMs: NOON_MS, ...NOTHING, valid: 1 });
    const live = Object.freeze({ adId: 'a', minute: NOON_MS, ...NOTHING, valid: 1 });
    const merge = () => mergeAggregates(storedOf([stored]), [deltaOf(0, { rows: [live] })], [], MINUTES).rows;
    expect(merge()).toEqual(merge());
    expect(merge()[0]?.valid).toBe(2);
  });

  it('keeps ads apart whose names and times run together', () => {
    const { rows } = mergeAggregates(
      storedOf([
        { group: ['1 a'], bucketMs: 60_000, ...NOTHING, valid: 1 },
        { group: ['a'], bucketMs: 60_000, ...NOTHING, valid: 2 },
        { group: ['60000 a'], bucketMs: 0, ...NOTHING, valid: 4 },
      ]),
      [],
      [],
      MINUTES,
    );
    expect(rows.length).toBe(3);
  });

  it('is as fresh as its oldest part: an owner’s answer, or the checkpoint of a missing one', () => {
    const fresh = (deltas: LiveDelta[], missing: OwnedCheckpoint[]) => {
      const checkpoints = [...deltas.map(({ shard }) => checkpointOf(shard)), ...missing];
      return mergeAggregates({ ...storedOf([]), checkpoints }, deltas, missing, MINUTES);
    };
    expect(fresh([deltaOf(0), deltaOf(1, { arrivedThroughMs: NOON_MS + 400 })], []).arrivedThroughMs).toBe(
      NOON_MS + 400,
    );
    const partial = fresh([deltaOf(0)], [checkpointOf(2, { arrivedThroughMs: 7 }), checkpointOf(1)]);
    expect(partial).toMatchObject({ arrivedThroughMs: 7, missingShards: [2, 1] });
    expect(fresh([], []).arrivedThroughMs).toBe(0);
  });

  it('leaves unflushed counts of watched minutes to their flush, and is no fresher than that', () => {
    const settlement = {
      watchedThroughMs: NOON_MS + 60_000,
      settledThroughMs: NOON_MS,
      closedThroughMs: -Infinity,
    };
    const checkpoints = [checkpointOf(0, { arrivedThroughMs: 5 }), checkpointOf(1, { arrivedThroughMs: 9 })];
    const stored = { ...storedOf([]), settlement, checkpoints };
    const live = (shard: number, minute: number) =>
      deltaOf(shard, { rows: [{ adId: 'a', minute, ...NOTHING, valid: 1 }] });
    const watched = [live(0, NOON_MS), live(1, NOON_MS + 60_000)];
    const merged = mergeAggregates(stored, watched, [], question(['a', 'b'], RANGE, 'HOUR'));
    expect(merged.rows).toMatchObject([{ bucketMs: NOON_MS, valid: 1 }]);
    expect(merged.arrivedThroughMs).toBe(5);
    const later = [live(0, NOON_MS + 120_000), watched[1] ?? deltaOf(1)];
    const open = mergeAggregates(stored, later, [], question(['a', 'b'], RANGE, 'HOUR'));
    expect(open).toMatchObject({ rows: [{ valid: 2 }], arrivedThroughMs: NOON_MS + 500 });
  });

  it('gives a row the least status of its minutes, as far as the range goes', () => {
    const at = (steps: number) => NOON_MS + steps * 60_000;
    const settlement = { watchedThroughMs: at(8), settledThroughMs: at(6), closedThroughMs: at(3) };
    const buckets = (granularity: 'MINUTE' | 'HOUR', toSteps: number, ...steps: number[]) => {
      const rows = steps.map((step) => ({
        group: ['a'],
        bucketMs: at(step),
        ...NOTHING,
        valid: 1,
      }));
      const other = { ...(rows[0] ?? { ...NOTHING, bucketMs: at(0) }), group: ['b'] };
      const differing = [
        { ads: ['a'], adId: 'a', bucketMs: at(granularity === 'HOUR' ? 0 : 4), minute: at(4) },
      ];
      const stored = { ...storedOf([...rows, other]), settlement, differing };
      const range = { fromMs: NOON_MS, toMs: at(toSteps) };
      return byGroup(mergeAggregates(stored, [], [], question(['a', 'b'], range, granularity)).rows).map(
        ({ group, status }) => [group[0], status],
      );
    };
    expect(buckets('MINUTE', 60, 2, 3, 4, 5, 6, 7)).toEqual([
      ['a', 'FINAL'],
      ['a', 'SETTLED'],
      ['a', 'PROVISIONAL'],
      ['a', 'SETTLED'],
      ['a', 'PROVISIONAL'],
      ['a', 'PROVISIONAL'],
      ['b', 'FINAL'],
    ]);
    const hours = (toSteps: number) => buckets('HOUR', toSteps, 0).map(([, status]) => status);
    expect(hours(3)).toEqual(['FINAL', 'FINAL']);
    expect(hours(6)).toEqual(['PROVISIONAL', 'SETTLED']);
    expect(hours(7)).toEqual(['PROVISIONAL', 'PROVISIONAL']);
  });
});
