/** Stored counts and the owners' unflushed deltas, added up (I10). */
import type {
  DifferingBucket,
  LiveDelta,
  OwnedCheckpoint,
  SettledAggregates,
  StoredAggregates,
} from '../domain/aggregates.ts';
import { bucketEnd, bucketStart, type Granularity } from '../domain/granularity.ts';
import { type RowStatus, type Settlement, statusOfSpan } from '../domain/settlement.ts';
import { addDispositions, type DispositionCounts } from '../domain/windowCounts.ts';
import type { TimeRange } from './ports.ts';

export interface MergedRow extends DispositionCounts {
  readonly adId: string;
  readonly bucketMs: number;
  readonly revision: number;
  readonly status: RowStatus;
}

export interface MergedAggregates {
  /** By ad, then by time. */
  readonly rows: MergedRow[];
  /** Everything that arrived before this moment is in the rows, milliseconds since the Unix epoch. */
  readonly arrivedThroughMs: number;
  /** Shards whose unflushed counts are not in the rows. */
  readonly missingShards: number[];
  readonly settlement: Settlement;
  readonly differing: readonly DifferingBucket[];
}

/** The rows that are wanted. */
export interface RowShape {
  readonly range: TimeRange;
  readonly granularity: Granularity;
}

export type Match =
  | {
      readonly kind: 'matched';
      readonly deltas: readonly LiveDelta[];
      readonly missing: readonly OwnedCheckpoint[];
    }
  /** A flush or a take-over came between the snapshot and the owner's answer: read again. */
  | { readonly kind: 'moved' };

/** Holds the owners' answers against the snapshot: a delta counts only relative to the very checkpoint that was read. */
export function matchDeltas(
  checkpoints: readonly OwnedCheckpoint[],
  answers: ReadonlyMap<string, readonly LiveDelta[] | undefined>,
): Match {
  const deltas: LiveDelta[] = [];
  const missing: OwnedCheckpoint[] = [];
  for (const checkpoint of checkpoints) {
    const answer = checkpoint.owner === undefined ? undefined : answers.get(checkpoint.owner);
    const delta = answer?.find(({ shard }) => shard === checkpoint.shard);
    if (delta === undefined) missing.push(checkpoint);
    else if (isRelativeTo(checkpoint, delta)) deltas.push(delta);
    else return { kind: 'moved' };
  }
  return { kind: 'matched', deltas, missing };
}

function isRelativeTo(checkpoint: OwnedCheckpoint, delta: LiveDelta): boolean {
  return (
    delta.epoch === checkpoint.epoch && delta.claim === checkpoint.claim && delta.floor === checkpoint.floor
  );
}

/**
 * I13: a minute that is watched changes only with its restatement, so unflushed counts of it wait for their flush.
 * @param missing shards whose owners did not answer
 */
export function mergeAggregates(
  stored: StoredAggregates,
  deltas: readonly LiveDelta[],
  missing: readonly OwnedCheckpoint[],
  shape: RowShape,
): MergedAggregates {
  const { watchedThroughMs } = stored.settlement;
  const freshness = new Map(
    stored.checkpoints.map(({ shard, arrivedThroughMs }) => [shard, arrivedThroughMs]),
  );
  const open: Addition[] = [];
  for (const { shard, arrivedThroughMs, rows } of deltas) {
    const added = rows.filter(({ minute }) => minute >= watchedThroughMs);
    for (const row of added) open.push({ ...row, bucketMs: bucketStart(row.minute, shape.granularity) });
    // What waits for its flush is not in the rows.
    if (added.length === rows.length) freshness.set(shard, arrivedThroughMs);
  }
  return {
    ...settledRows(stored, shape, open),
    arrivedThroughMs: freshness.size === 0 ? 0 : Math.min(...freshness.values()),
    missingShards: missing.map(({ shard }) => shard),
  };
}

type Addition = DispositionCounts & Pick<MergedRow, 'adId' | 'bucketMs'>;

/** Rows with their status; `additions` are added to them. */
export function settledRows(
  { rows: stored, settlement, differing }: SettledAggregates,
  { range, granularity }: RowShape,
  additions: readonly Addition[] = [],
): Pick<MergedAggregates, 'rows' | 'settlement' | 'differing'> {
  const differs = new Set(differing.map(keyOf));
  const rows = new Map<string, MergedRow>();
  const add = (addition: Addition, revision: number) => {
    const key = keyOf(addition);
    const row = rows.get(key);
    if (row !== undefined) {
      addDispositions(row, addition);
      return;
    }
    const { adId, bucketMs } = addition;
    const endMs = Math.min(bucketEnd(bucketMs, granularity), range.toMs);
    const status = statusOfSpan(endMs, settlement, differs.has(key));
    rows.set(key, { adId, bucketMs, revision, status, ...pickCounts(addition) });
  };
  for (const row of stored) add(row, row.revision);
  for (const addition of additions) add(addition, 0);
  return { rows: [...rows.values()].sort(byAdThenTime), settlement, differing };
}

function keyOf({ adId, bucketMs }: Pick<MergedRow, 'adId' | 'bucketMs'>): string {
  return `${bucketMs} ${adId}`;
}

function pickCounts({ valid, repeat, givt, sivt, defective, test }: DispositionCounts): DispositionCounts {
  return { valid, repeat, givt, sivt, defective, test };
}

function byAdThenTime(left: MergedRow, right: MergedRow): number {
  if (left.adId === right.adId) return left.bucketMs - right.bucketMs;
  return left.adId < right.adId ? -1 : 1;
}
