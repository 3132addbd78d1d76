/**
 * Holds the stored counts against a recount of the streams up to the floors of the same moment, and, where it is asked
 * to, takes the differences away.
 *
 * A shard is a deterministic fold over its stream (I4), so counts and recount are equal at any moment, also while clicks
 * flow: what differs is a defect, or what came again after the dedup horizon. Differences are added like any other delta
 * (I10), so it does not matter what is counted meanwhile; each is written down with it (I13). Nothing is decided by
 * guessing: where a stream does not hold what is needed, it throws.
 *
 * Runs that write are fenced by a counter that each raises before it looks at the counts: so a run sees all that
 * earlier ones have added, and from then on they add nothing.
 *
 * A run that settles lets the minutes that it will verify be watched before it looks at the counts: what is counted of
 * them before is in what it sees, what comes after is a restatement (I13). Only then are they settled.
 */
import type {
  AdDifference,
  RollupDifference,
  ShardDifference,
  WindowDifference,
} from '../domain/difference.ts';
import { insist } from '../domain/insist.ts';
import { quartersOf, type RecountedPortion, type WindowSelection } from '../domain/recount.ts';
import type { ReplayedShard, Replayers, ReplayOrder } from '../domain/replayers.ts';
import {
  type CountedShard,
  type ReplayRange,
  replayRange,
  replayStartMs,
  UndecidedError,
} from '../domain/replayRange.ts';
import type { RunCause, RunStepOutcome } from '../domain/restatement.ts';
import { checkRuleSet } from '../domain/ruleSet.ts';
import { type Reclassification, RejudgedRules, type RulesInForce } from '../domain/rulesInForce.ts';
import { settleableThroughMs } from '../domain/settlement.ts';
import type { Routing, ShardStreams } from '../domain/shardStreams.ts';
import type { Timers } from '../domain/timers.ts';
import type { RecountSession, Restatements, Settling } from './ports.ts';
import { sideBySide } from './sideBySide.ts';

/** Differences taken away in one transaction. */
const CHUNK_DIFFERENCES = 500;
/**
 * Messages of a part of a stream hold up to so many times as many records as its others: batches grow with load. What is
 * expected goes into the number of files that a shard is spread over, and where there are more, memory grows with them.
 */
const DENSER_MAX = 4;
/** Ads whose sums are shown where clicks are judged again. */
const ADS_SHOWN_MAX = 50;
/** Windows so long before the first click that is judged again are compared too. */
const REJUDGED_EVENT_AGE_MS = 86_400_000;
const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 2_000;
const TRIES_MAX = 9;

export interface ReconcileParts {
  readonly streams: Pick<ShardStreams, 'state' | 'firstSequenceAt'>;
  readonly routing: Routing;
  readonly openReplayers: (recordsExpected: number) => Replayers;
  readonly openSession: () => Promise<RecountSession>;
  readonly restatements: Restatements;
  readonly settling: Settling;
  /** So long after a minute what arrived late for it may come. */
  readonly settleGraceMs: number;
  readonly timers: Timers;
  readonly watcher: ReconcileWatcher;
  readonly stop: AbortSignal;
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
  /** Likewise. */
  rollupDiffers(difference: RollupDifference, restated: boolean): void;
  /** Only where clicks are judged again. */
  adDiffers(difference: AdDifference): void;
  troubled(error: unknown): void;
}

export interface ReconcileRequest {
  readonly selection: WindowSelection;
  /** Begins where the settled minutes end, in the place of where the selection does. */
  readonly fromSettled: boolean;
  /** Takes the differences away. */
  readonly apply: boolean;
  /** Leaves out what divides clicks by dimensions: a replay is faster without, and proves what is billed. */
  readonly countsOnly: boolean;
  /** Settles the minutes that it finds, or makes, equal: needs all ads, and no gap behind the settled minutes. */
  readonly settle: boolean;
  /** Why a person restates by hand. */
  readonly note: string | undefined;
  /** Judges clicks again, of the ads and from the start of the selection on. */
  readonly rejudge: Rejudging | undefined;
}

export interface Rejudging {
  readonly version: number;
  /** Clicks made before this moment. */
  readonly toMs: number;
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
  /** Rows of rollups. */
  readonly rollups: number;
  readonly rollupsDiffering: number;
  readonly rollupsRestated: number;
  readonly rollupsUndecided: number;
  /** Minutes before this one are settled; -Infinity: none. undefined: it was not asked to settle. */
  readonly settledThroughMs: number | undefined;
}

/** @throws UndecidedError, StreamGapError, or what else kept it from a decision */
export async function reconcile(request: ReconcileRequest, parts: ReconcileParts): Promise<Reconciled> {
  const { apply, settle, countsOnly } = request;
  const withDimensions = !countsOnly;
  const run = apply || settle ? await parts.restatements.begin() : undefined;
  const { selection, throughMs } = await plan(request, parts);
  const session = await parts.openSession();
  try {
    const asked = reclassificationOf(request);
    const reclassifications = [...session.reclassifications, ...(asked === undefined ? [] : [asked])];
    for (const { version } of reclassifications) checkRuleSet(version);
    const rules = new RejudgedRules(parts.routing.table, reclassifications);
    const shards = session.shards.filter(({ floor }) => floor > 0);
    const planned = await planShards(shards, selection, parts);
    const recordsExpected = planned.reduce((sum, { expected }) => sum + expected, 0);
    parts.watcher.begins(shards.length, recordsExpected);
    const replayers = parts.openReplayers(recordsExpected);
    const order = { selection, withDimensions, reclassifications };
    const replayed = await replay(planned, session, order, replayers, parts).finally(() => replayers.close());
    parts.watcher.allRead();
    const compared = await session.compare(selection, withDimensions);
    const { fromMs } = selection;
    const ranges = planned.map(({ range }) => range);
    if (asked !== undefined)
      for (const difference of await session.adDifferences(ADS_SHOWN_MAX))
        parts.watcher.adDiffers(difference);
    const restating = { run: apply ? run : undefined, ranges, fromMs, note: request.note, rules, asked };
    const { chunk, ...taken } = await takeAway(session, restating, parts);
    if (run !== undefined && throughMs !== undefined && throughMs > -Infinity) {
      const step = { run, chunk: chunk + 1, throughMs, fromMs, restated: apply };
      refuseFenced(await session.settle(step), step);
    }
    const settledThroughMs = throughMs;
    return { run, shards: shards.length, ...replayed, ...compared, ...taken, settledThroughMs };
  } finally {
    await session.close();
  }
}

/** What the run judges again; undefined: nothing. */
function reclassificationOf({ rejudge, selection }: ReconcileRequest): Reclassification | undefined {
  return rejudge && { ...rejudge, fromMs: selection.fromMs, adIds: selection.adIds };
}

interface Plan {
  readonly selection: WindowSelection;
  /** Minutes before this one are to be settled; undefined: none are. */
  readonly throughMs: number | undefined;
}

async function plan(request: ReconcileRequest, { settling, settleGraceMs }: ReconcileParts): Promise<Plan> {
  const { settledThroughMs } = await settling.read();
  // Where nothing is settled yet, everything is to be looked at.
  const fromSettledMs = settledThroughMs === -Infinity ? undefined : settledThroughMs;
  const { settle } = request;
  const selection = selectionOf(request, fromSettledMs);
  if (!settle) return { selection, throughMs: undefined };
  const throughMs = Math.max(settledThroughMs, settleableThroughMs(await settling.arrivals(), settleGraceMs));
  refuseGaps(selection, settledThroughMs, throughMs);
  await settling.watch(throughMs);
  return { selection, throughMs };
}

/**
 * A click that is billable no more lets a later one on its impression be valid, in whatever minute that is. And a click
 * may have its click_id from another minute than its window's.
 */
function selectionOf(
  { selection, fromSettled, rejudge }: ReconcileRequest,
  fromSettledMs: number | undefined,
): WindowSelection {
  if (fromSettled) return { ...selection, fromMs: fromSettledMs };
  if (rejudge === undefined) return selection;
  const { fromMs, adIds } = selection;
  return {
    fromMs: fromMs === undefined ? undefined : fromMs - REJUDGED_EVENT_AGE_MS,
    toMs: undefined,
    adIds,
  };
}

/** Minutes are settled for all ads, and one after the other. */
function refuseGaps(
  { adIds, fromMs = -Infinity, toMs = Infinity }: WindowSelection,
  settledThroughMs: number,
  throughMs: number,
): void {
  const shown = (ms: number) => (ms === -Infinity ? 'the first minute' : new Date(ms).toISOString());
  if (adIds !== undefined)
    throw new UndecidedError('some ads alone cannot be settled: right is without --ads');
  if (fromMs > settledThroughMs) {
    throw new UndecidedError(
      `--from ${shown(fromMs)} leaves a gap: minutes are settled through ${shown(settledThroughMs)}. Right is --from settled, an earlier time, or none`,
    );
  }
  if (toMs < throughMs) {
    throw new UndecidedError(
      `--to ${shown(toMs)} is before ${shown(throughMs)}, through which minutes are settled by this run: right is a later --to, or none`,
    );
  }
}

/** A shard, what of its stream is replayed, and how many records that should hold. */
interface PlannedShard {
  readonly counted: CountedShard;
  readonly range: ReplayRange;
  readonly expected: number;
}

/** All before the first is read: what cannot be decided is said at once. */
async function planShards(
  shards: readonly CountedShard[],
  { fromMs }: WindowSelection,
  { streams, routing }: ReconcileParts,
): Promise<PlannedShard[]> {
  const planned: PlannedShard[] = [];
  for (const counted of shards) {
    const { shard, incarnation } = counted;
    const state = await streams.state(shard);
    const start =
      fromMs === undefined
        ? undefined
        : await streams.firstSequenceAt(
            shard,
            incarnation,
            replayStartMs(quartersOf({ fromMs, toMs: undefined }).fromMs, routing.table.rules),
          );
    const range = replayRange(counted, state, start);
    planned.push({ counted, range, expected: expectedRecords(counted, range) });
  }
  return planned;
}

async function replay(
  planned: readonly PlannedShard[],
  session: RecountSession,
  order: Omit<ReplayOrder, 'range' | 'recordsMost'>,
  replayers: Replayers,
  { watcher, stop: stopAll }: ReconcileParts,
): Promise<{ records: number; shardsDiffering: number }> {
  let added: Promise<void> = Promise.resolve();
  // The session takes one portion at a time.
  const add = (portion: RecountedPortion) => {
    added = added.then(() => session.add(portion));
    return added;
  };
  const onRecords = (count: number) => watcher.onRecords(count);
  let records = 0;
  let shardsDiffering = 0;
  await sideBySide(planned, replayers.lanes, stopAll, async ({ counted, range, expected }, stop) => {
    const recordsMost = Math.min(counted.records, DENSER_MAX * expected);
    const replayed = await replayers.replay({ range, recordsMost, ...order }, { add, onRecords, stop });
    records += replayed.records;
    // The shard's row sums its whole stream.
    if (order.selection.fromMs !== undefined) return;
    const differences = shardDifferences(counted, replayed);
    for (const difference of differences) watcher.shardDiffers(difference);
    if (differences.length > 0) shardsDiffering += 1;
  });
  return { records, shardsDiffering };
}

function shardDifferences(stored: CountedShard, replayed: ReplayedShard): ShardDifference[] {
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
  readonly note: string | undefined;
  readonly rules: RulesInForce;
  readonly asked: Reclassification | undefined;
}

type Taken = Pick<Reconciled, 'restated' | 'undecided' | 'rollupsRestated' | 'rollupsUndecided'>;

async function takeAway(
  session: RecountSession,
  { run, rules, asked, ...common }: Restating,
  parts: ReconcileParts,
): Promise<Taken & { readonly chunk: number }> {
  const cause = causeOf(asked, common.note);
  const taken = { restated: 0, undecided: 0, rollupsRestated: 0, rollupsUndecided: 0 };
  let chunk = 0;
  if (run !== undefined && asked !== undefined) {
    chunk += 1;
    await step(() => parts.restatements.reclassify(run, asked), { run, chunk }, parts);
  }
  for await (const found of session.differences(CHUNK_DIFFERENCES)) {
    const windows = found.windows.filter(isDecided);
    const rollups = found.rollups.filter(isDecided);
    taken.undecided += found.windows.length - windows.length;
    taken.rollupsUndecided += found.rollups.length - rollups.length;
    if (run !== undefined && windows.length + rollups.length > 0) {
      chunk += 1;
      const differences = windows.map((difference) => ({
        ...difference,
        ruleSetVersion: rules.versionAt(difference.adId, difference.minute),
      }));
      const portion = { run, chunk, differences, rollups, cause, ...common };
      await step(() => parts.restatements.restate(portion), portion, parts);
      taken.restated += windows.length;
      taken.rollupsRestated += rollups.length;
    }
    const { watcher } = parts;
    const isRestated = (difference: Decidable) => run !== undefined && isDecided(difference);
    for (const difference of found.windows) watcher.windowDiffers(difference, isRestated(difference));
    for (const difference of found.rollups) watcher.rollupDiffers(difference, isRestated(difference));
  }
  return { ...taken, chunk };
}

type Decidable = Pick<WindowDifference, 'needsLongerReplay'>;

function isDecided({ needsLongerReplay }: Decidable): boolean {
  return !needsLongerReplay;
}

function causeOf(asked: Reclassification | undefined, note: string | undefined): RunCause {
  if (asked !== undefined) return 'RECLASSIFY';
  return note === undefined ? 'RECONCILE' : 'MANUAL';
}

/** A lost answer leaves it open whether a step of the run went through, so it is sent again. */
async function step(
  send: () => Promise<RunStepOutcome>,
  place: { readonly run: number; readonly chunk: number },
  parts: ReconcileParts,
): Promise<void> {
  const outcome = await insist(send, {
    timers: parts.timers,
    pauseFirstMs: RETRY_PAUSE_FIRST_MS,
    pauseMaxMs: RETRY_PAUSE_MAX_MS,
    triesMax: TRIES_MAX,
    check: () => parts.stop.throwIfAborted(),
    onFailure: (error) => parts.watcher.troubled(error),
  });
  refuseFenced(outcome, place);
}

function refuseFenced(
  outcome: RunStepOutcome,
  { run, chunk }: { readonly run: number; readonly chunk: number },
): void {
  if (outcome.kind === 'done') return;
  throw new UndecidedError(
    `run ${run} stopped before part ${chunk}: ${outcome.found}. What it had applied stays; run it again when the other has ended`,
  );
}

/** As if each message of the stream held as many. */
function expectedRecords({ records, floor }: CountedShard, { fromSequence }: ReplayRange): number {
  return Math.round((records * Math.max(0, floor + 1 - fromSequence)) / floor);
}
