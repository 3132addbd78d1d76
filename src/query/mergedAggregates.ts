/** Stored counts and the owners' unflushed deltas, added up (I10). */
import type { LiveDelta, OwnedCheckpoint, StoredAggregates } from '../domain/aggregates.ts';
import { bucketStart, type Granularity } from '../domain/granularity.ts';
import { addDispositions, type DispositionCounts } from '../domain/windowCounts.ts';

export interface MergedRow extends DispositionCounts {
  readonly adId: string;
  readonly bucketMs: number;
}

export interface MergedAggregates {
  /** By ad, then by time. */
  readonly rows: MergedRow[];
  /** Everything that arrived before this moment is in the rows, milliseconds since the Unix epoch. */
  readonly arrivedThroughMs: number;
  /** Shards whose unflushed counts are not in the rows. */
  readonly missingShards: number[];
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

export function mergeAggregates(
  stored: StoredAggregates,
  deltas: readonly LiveDelta[],
  missing: readonly OwnedCheckpoint[],
  granularity: Granularity,
): MergedAggregates {
  const rows = new Map<string, MergedRow>();
  const add = (adId: string, bucketMs: number, counts: DispositionCounts) => {
    const key = `${bucketMs} ${adId}`;
    const row = rows.get(key);
    if (row === undefined) rows.set(key, { adId, bucketMs, ...pickCounts(counts) });
    else addDispositions(row, counts);
  };
  for (const row of stored.rows) add(row.adId, row.bucketMs, row);
  for (const { rows: live } of deltas) {
    for (const row of live) add(row.adId, bucketStart(row.minute, granularity), row);
  }
  const freshness = [...deltas, ...missing].map(({ arrivedThroughMs }) => arrivedThroughMs);
  return {
    rows: [...rows.values()].sort(byAdThenTime),
    arrivedThroughMs: freshness.length === 0 ? 0 : Math.min(...freshness),
    missingShards: missing.map(({ shard }) => shard),
  };
}

function pickCounts({ valid, repeat, givt, sivt, defective, test }: DispositionCounts): DispositionCounts {
  return { valid, repeat, givt, sivt, defective, test };
}

function byAdThenTime(left: MergedRow, right: MergedRow): number {
  if (left.adId === right.adId) return left.bucketMs - right.bucketMs;
  return left.adId < right.adId ? -1 : 1;
}
