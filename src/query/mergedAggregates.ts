/** Stored counts and the owners' unflushed deltas, added up (I10). */
import type {
  LiveDelta,
  OwnedCheckpoint,
  SettledAggregates,
  StoredAggregates,
} from '../domain/aggregates.ts';
import { kindAsked, type Question } from '../domain/question.ts';
import { type DispositionCounts, emptyDispositions } from '../domain/windowCounts.ts';
import { type LiveCounts, LiveReader } from './liveCounts.ts';
import { type RowMark, RowMarks, rowKey } from './rowMarks.ts';

export interface MergedRow extends DispositionCounts, RowMark {
  /** The values of the dimensions that rows are divided by. */
  readonly group: readonly string[];
  /** First moment of its bucket, which may lie before the range. */
  readonly bucketMs: number;
}

export interface MergedAggregates extends SettledAggregates {
  /** Those that have any click, or were restated, in no order. */
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

/**
 * Holds the owners' answers against the snapshot: a delta counts only relative to the very checkpoint that was read.
 * @param parts how many deltas of a shard an owner's answer has, each of other ads
 */
export function matchDeltas(
  checkpoints: readonly OwnedCheckpoint[],
  answers: ReadonlyMap<string, readonly LiveDelta[] | undefined>,
  parts = 1,
): Match {
  const deltas: LiveDelta[] = [];
  const missing: OwnedCheckpoint[] = [];
  for (const checkpoint of checkpoints) {
    const answer = checkpoint.owner === undefined ? undefined : answers.get(checkpoint.owner);
    const own = answer?.filter(({ shard }) => shard === checkpoint.shard) ?? [];
    if (own.length === 0) missing.push(checkpoint);
    else if (own.length === parts && own.every((delta) => isRelativeTo(checkpoint, delta)))
      deltas.push(...own);
    else return { kind: 'moved' };
  }
  return { kind: 'matched', deltas, missing };
}

function isRelativeTo(checkpoint: OwnedCheckpoint, delta: LiveDelta): boolean {
  return (
    delta.epoch === checkpoint.epoch && delta.claim === checkpoint.claim && delta.floor === checkpoint.floor
  );
}

/** @param missing shards whose owners did not answer */
export function mergeAggregates(
  stored: StoredAggregates,
  deltas: readonly LiveDelta[],
  missing: readonly OwnedCheckpoint[],
  question: Question,
): MergedAggregates {
  const reader = new LiveReader(question);
  const additions: LiveCounts[] = [];
  /** How fresh the rows are of each shard whose owner answered. */
  const live = new Map<number, number>();
  const arrived = new Map(stored.checkpoints.map(({ shard, arrivedThroughMs }) => [shard, arrivedThroughMs]));
  for (const delta of deltas) {
    const { rows, isWhole } = reader.read(delta, stored.settlement.watchedThroughMs);
    for (const row of rows) additions.push(row);
    // What waits for its flush is not in the rows.
    const freshMs = isWhole ? delta.arrivedThroughMs : (arrived.get(delta.shard) ?? 0);
    live.set(delta.shard, Math.min(live.get(delta.shard) ?? Infinity, freshMs));
  }
  const freshness = [...arrived].map(([shard, arrivedMs]) => live.get(shard) ?? arrivedMs);
  return {
    ...mergedRows(stored, question, additions),
    arrivedThroughMs: freshness.length === 0 ? 0 : Math.min(...freshness),
    missingShards: missing.map(({ shard }) => shard),
  };
}

/** Rows with their marks; `additions` are added to them. */
export function mergedRows(
  { rows: stored, settlement, restated, differing }: SettledAggregates,
  question: Question,
  additions: readonly LiveCounts[] = [],
): SettledAggregates & Pick<MergedAggregates, 'rows'> {
  const marks = new RowMarks({ settlement, restated, differing }, question);
  const rows = new Map<string, MergedRow>();
  const rowOf = (group: readonly string[], bucketMs: number) => {
    const key = rowKey(group, bucketMs);
    let row = rows.get(key);
    if (row === undefined) {
      row = { group, bucketMs, ...emptyDispositions(), ...marks.of(group, bucketMs) };
      rows.set(key, row);
    }
    return row;
  };
  for (const row of stored) addTimes(rowOf(row.group, row.bucketMs), row, 1);
  for (const { group, bucketMs, counts, sign } of additions) addTimes(rowOf(group, bucketMs), counts, sign);
  const byClicks = kindAsked(question) !== undefined;
  if (!byClicks) for (const { ads, bucketMs } of restated) rowOf(ads, bucketMs);
  const shown = [...rows.values()].filter((row) => hasAny(row) || (!byClicks && row.revision > 0));
  return { rows: shown, settlement, restated, differing };
}

function addTimes(row: DispositionCounts, counts: DispositionCounts, sign: 1 | -1): void {
  row.valid += sign * counts.valid;
  row.repeat += sign * counts.repeat;
  row.givt += sign * counts.givt;
  row.sivt += sign * counts.sivt;
  row.defective += sign * counts.defective;
  row.test += sign * counts.test;
}

function hasAny({ valid, repeat, givt, sivt, defective, test }: DispositionCounts): boolean {
  return valid !== 0 || repeat !== 0 || givt !== 0 || sivt !== 0 || defective !== 0 || test !== 0;
}
