/**
 * Holds the stored counts against a recount of the streams up to the floors of the same moment, and, where it is asked
 * to, takes the differences away.
 *
 * A shard is a deterministic fold over its stream (I4), so counts and recount are equal at any moment, also while clicks
 * flow: what differs is a defect, or what came again after the dedup horizon. Differences are added like any other delta
 * (I10), so it does not matter what is counted meanwhile; each is written down with it (I13). Nothing is decided by
 * guessing: where a stream does not hold what is needed, it throws.
 *
 * Runs that restate are fenced by a counter that each raises before it looks at the counts: so a run sees all that
 * earlier ones have added, and from then on they add nothing.
 */
import type { ShardDifference, WindowDifference } from '../domain/difference.ts';
import { insist } from '../domain/insist.ts';
import { Recount, type WindowSelection } from '../domain/recount.ts';
import {
  type CountedShard,
  type ReplayRange,
  replayRange,
  replayStartMs,
  UndecidedError,
} from '../domain/replayRange.ts';
import type { RestatementChunk } from '../domain/restatement.ts';
import type { Timers } from '../domain/timers.ts';
import type { RecountSession, Restatements } from './ports.ts';
import { type ReplayParts, replayShard } from './shardReplay.ts';
import { sideBySide } from './sideBySide.ts';

/** Windows restated in one transaction. */
export const CHUNK_WINDOWS = 500;
/** One computes while the other's next portion is on its way; more than that gained nothing, and each has a fold. */
const SHARDS_AT_A_TIME = 2;
const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 2_000;
const RETRIES_MAX = 8;

export interface ReconcileParts extends Omit<ReplayParts, 'recount' | 'drain' | 'onRecords'> {
  readonly openSession: () => Promise<RecountSession>;
  readonly restatements: Restatements;
  readonly timers: Timers;
  readonly watcher: ReconcileWatcher;
}

/** Hears how far it is. */
export interface ReconcileWatcher {
  /** Reading begins; so many records are expected. */
  begins(shards: number, records: number): void;
  onRecords(records: number): void;
  /** Everything is read; comparing begins. */
  allRead(): void;
  shardDiffers(difference: ShardDifference): void;
  /** @param restated whether the difference is taken away */
  windowDiffers(difference: WindowDifference, restated: boolean): void;
  troubled(error: unknown): void;
}

export interface ReconcileRequest {
  readonly selection: WindowSelection;
  readonly apply: boolean;
}

export interface Reconciled {
  readonly run: number | undefined;
  readonly shards: number;
  readonly records: number;
  readonly windows: number;
  readonly late: number;
  readonly differing: number;
  readonly restated: number;
  /** Of the differing ones, those that need a recount which begins earlier. */
  readonly undecided: number;
  readonly shardsDiffering: number;
}

/** @throws UndecidedError, StreamGapError, or what else kept it from a decision */
export async function reconcile(request: ReconcileRequest, parts: ReconcileParts): Promise<Reconciled> {
  const run = request.apply ? await parts.restatements.begin() : undefined;
  const session = await parts.openSession();
  try {
    const shards = session.shards.filter(({ floor }) => floor > 0);
    const ranges = await rangesOf(shards, request.selection, parts);
    parts.watcher.begins(shards.length, expectedRecords(shards, ranges));
    const replayed = await replay(shards, ranges, session, request.selection, parts);
    parts.watcher.allRead();
    const compared = await session.compare(request.selection);
    const restating = { run, ranges, fromMs: request.selection.fromMs };
    const { restated, undecided } = await settle(session, restating, parts);
    return { run, shards: shards.length, ...replayed, ...compared, restated, undecided };
  } finally {
    await session.close();
  }
}

/** All before the first is read: what cannot be decided is said at once. */
async function rangesOf(
  shards: readonly CountedShard[],
  { fromMs }: WindowSelection,
  { streams, routing }: ReconcileParts,
): Promise<ReplayRange[]> {
  const ranges: ReplayRange[] = [];
  for (const counted of shards) {
    const { shard, incarnation } = counted;
    const state = await streams.state(shard);
    const start =
      fromMs === undefined
        ? undefined
        : await streams.firstSequenceAt(shard, incarnation, replayStartMs(fromMs, routing.table.rules));
    ranges.push(replayRange(counted, state, start));
  }
  return ranges;
}

async function replay(
  shards: readonly CountedShard[],
  ranges: readonly ReplayRange[],
  session: RecountSession,
  selection: WindowSelection,
  parts: ReconcileParts,
): Promise<{ records: number; shardsDiffering: number }> {
  const recount = new Recount(selection);
  let added: Promise<void> = Promise.resolve();
  // The session takes one portion at a time.
  const drain = () => {
    added = added.then(async () => {
      const windows = recount.take();
      if (windows.length > 0) await session.add(windows);
    });
    return added;
  };
  const onRecords = (count: number) => parts.watcher.onRecords(count);
  let records = 0;
  let shardsDiffering = 0;
  await sideBySide(shards, SHARDS_AT_A_TIME, parts.stop, async (counted, stop) => {
    const range = ranges.find(({ shard }) => shard === counted.shard);
    if (range === undefined) return;
    const replayed = await replayShard(range, counted.records, { ...parts, recount, drain, onRecords, stop });
    records += replayed.records;
    // The shard's row sums its whole stream.
    if (selection.fromMs !== undefined) return;
    const differences = shardDifferences(counted, replayed);
    for (const difference of differences) parts.watcher.shardDiffers(difference);
    if (differences.length > 0) shardsDiffering += 1;
  });
  await drain();
  return { records, shardsDiffering };
}

function shardDifferences(
  stored: CountedShard,
  replayed: { readonly records: number; readonly deadLetters: number },
): ShardDifference[] {
  const { shard } = stored;
  const sums: ShardDifference[] = [
    { shard, what: 'records', stored: stored.records, recounted: replayed.records },
    { shard, what: 'dead_letters', stored: stored.deadLetters, recounted: replayed.deadLetters },
  ];
  return sums.filter((difference) => difference.stored !== difference.recounted);
}

interface Restating {
  /** undefined: differences are only told. */
  readonly run: number | undefined;
  readonly ranges: readonly ReplayRange[];
  readonly fromMs: number | undefined;
}

async function settle(
  session: RecountSession,
  { run, ranges, fromMs }: Restating,
  parts: ReconcileParts,
): Promise<{ restated: number; undecided: number }> {
  const ruleSetVersion = parts.routing.table.rules.version;
  let restated = 0;
  let undecided = 0;
  let chunk = 0;
  for await (const page of session.differences(CHUNK_WINDOWS)) {
    const differences = page.filter(({ needsLongerReplay }) => !needsLongerReplay);
    undecided += page.length - differences.length;
    if (run !== undefined && differences.length > 0) {
      chunk += 1;
      await restate({ run, chunk, differences, ruleSetVersion, ranges, fromMs }, parts);
      restated += differences.length;
    }
    for (const difference of page)
      parts.watcher.windowDiffers(difference, run !== undefined && !difference.needsLongerReplay);
  }
  return { restated, undecided };
}

/** A lost answer leaves it open whether a chunk went through, so it is sent again. */
async function restate(chunk: RestatementChunk, parts: ReconcileParts): Promise<void> {
  let failures = 0;
  const outcome = await insist(() => parts.restatements.restate(chunk), {
    timers: parts.timers,
    pauseFirstMs: RETRY_PAUSE_FIRST_MS,
    pauseMaxMs: RETRY_PAUSE_MAX_MS,
    check: () => parts.stop.throwIfAborted(),
    onFailure: (error) => {
      failures += 1;
      if (failures > RETRIES_MAX) throw error;
      parts.watcher.troubled(error);
    },
  });
  if (outcome.kind === 'fenced') {
    throw new UndecidedError(
      `run ${chunk.run} stopped before part ${chunk.chunk}: ${outcome.found}. What it had applied stays; run it again when the other has ended`,
    );
  }
}

/** Of a part of a stream: as if each of its messages held as many. */
function expectedRecords(shards: readonly CountedShard[], ranges: readonly ReplayRange[]): number {
  const expected = shards.map(({ records, floor }, index) => {
    const messages = floor + 1 - (ranges[index]?.fromSequence ?? 1);
    return Math.round((records * Math.max(0, messages)) / floor);
  });
  return expected.reduce((sum, records) => sum + records, 0);
}
