/**
 * What a window's counts are made from, and whether they are what the streams say.
 *
 * A window is counted anew in two passes over the shards that can hold its clicks: the first finds the window's clicks,
 * the second folds all records of their identities from one horizon before on (I4). So memory goes by the window, not by
 * the ad's traffic of days (I14), and whatever is of other ads or identities is not judged.
 */
import type { WindowTotals } from '../domain/difference.ts';
import { type ReplayRange, replayStartMs, standingStartMs } from '../domain/replayRange.ts';
import { RejudgedRules } from '../domain/rulesInForce.ts';
import type { CheckpointedShard, StoredWindow } from '../domain/storedWindow.ts';
import { emptyCounts, WINDOW_CLICKS_MAX } from '../domain/windowCounts.ts';
import { type AuditedRecord, AuditFold } from './auditFold.ts';
import {
  AuditTooLargeError,
  DIFFERING_RECORDS_MAX,
  EXPLAINED_RECORDS_MAX,
  IDENTITIES_MAX,
} from './auditLimits.ts';
import type { AuditParts } from './auditPorts.ts';
import { countedSince } from './auditRange.ts';
import { openScan } from './auditScan.ts';
import {
  areEqual,
  asTotals,
  countRecord,
  type DifferingRecord,
  type Explanation,
  explainByOne,
  sumOf,
} from './differenceExplanation.ts';
import { identityKey, type ScanParts, standingRecords, wantedOfAd } from './standingRecords.ts';

/** Where a shard's share of the window stands: the messages from `fromSequence` through `throughSequence`. */
export interface ShardShare extends ReplayRange {
  readonly arrivedThroughMs: number;
}

export interface WindowProof {
  readonly stored: StoredWindow;
  readonly ruleSetVersion: number;
  readonly shares: readonly ShardShare[];
}

export interface VerifiedWindow {
  readonly verdict: 'EQUAL' | 'DIFFERENT' | 'UNDECIDED';
  /** Adjustments included. */
  readonly stored: WindowTotals;
  readonly recounted: WindowTotals;
  /** Records of the window, duplicates included. */
  readonly records: number;
  readonly late: number;
  /** undefined: there is no difference. */
  readonly explanation: Explanation | undefined;
  readonly shares: readonly ShardShare[];
}

/** @throws UndecidedError, StreamGapError where a stream is not what was counted */
export async function proveWindow(
  adId: string,
  minute: number,
  parts: AuditParts,
  stop: AbortController,
): Promise<WindowProof> {
  const stored = await parts.ledger.window(adId, minute);
  const shards = await shardsOfAd(adId, stored.shards, parts);
  const streams = parts.openStreams(stop);
  const { rules } = parts.routing.table;
  const shares: ShardShare[] = [];
  for (const shard of shards) {
    stop.signal.throwIfAborted();
    const range = await countedSince(shard, standingStartMs(minute, rules), streams);
    shares.push({ ...range, arrivedThroughMs: shard.arrivedThroughMs });
  }
  const inForce = new RejudgedRules(parts.routing.table, stored.reclassifications);
  return { stored, ruleSetVersion: inForce.versionAt(adId, minute), shares };
}

/** Of the shards as they were read, those to which a click of the ad may have been led. */
export async function shardsOfAd(
  adId: string,
  shards: readonly CheckpointedShard[],
  { routing }: AuditParts,
): Promise<CheckpointedShard[]> {
  // After the shards were: so it knows every entry by which a click below their floors was led.
  await routing.read();
  const led = new Set(routing.table.shardsOf(adId));
  return shards.filter(({ shard }) => led.has(shard));
}

/** @throws UndecidedError, StreamGapError, AuditTooLargeError */
export async function verifyWindow(
  adId: string,
  minute: number,
  parts: AuditParts,
  stop: AbortController,
): Promise<VerifiedWindow> {
  const { stored, shares } = await proveWindow(adId, minute, parts, stop);
  const scan = openScan(parts, stored.reclassifications, stop);
  const recount = new WindowRecount(minute, parts.routing.table.rules.dedupHorizonMs);
  const { rules } = parts.routing.table;
  for (const share of shares) {
    const found = await recount.find(adId, share, scan);
    if (found === undefined) continue;
    const checkpoint = { ...share, floor: found.lastSequence };
    const range = await countedSince(checkpoint, replayStartMs(minute, rules), scan.streams);
    await recount.count(adId, range, found.identities, scan);
  }
  return recount.compare(stored, shares);
}

interface FoundRecords {
  readonly identities: ReadonlySet<string>;
  /** Of the last one. */
  readonly lastSequence: number;
}

class WindowRecount {
  readonly #minute: number;
  readonly #horizonMs: number;
  readonly #counts = emptyCounts();
  /** By what live counting, which forgets, made of them. */
  readonly #liveCounts = emptyCounts();
  readonly #counted: AuditedRecord[] = [];
  readonly #lateRecords: DifferingRecord[] = [];
  #records = 0;
  #late = 0;

  constructor(minute: number, horizonMs: number) {
    this.#minute = minute;
    this.#horizonMs = horizonMs;
  }

  /** The identities of the window's clicks on a shard; undefined: there are none. */
  async find(adId: string, share: ShardShare, scan: ScanParts): Promise<FoundRecords | undefined> {
    const identities = new Set<string>();
    let lastSequence = 0;
    for await (const { judged, positions } of standingRecords(share, wantedOfAd(adId), scan)) {
      for (const [index, { facts, minute }] of judged.clicks.entries()) {
        if (minute !== this.#minute) continue;
        identities.add(identityKey(facts));
        lastSequence = positions[index]?.sequence ?? lastSequence;
        this.#records += 1;
      }
      if (identities.size > IDENTITIES_MAX || this.#records > WINDOW_CLICKS_MAX) throw tooLarge();
    }
    return identities.size === 0 ? undefined : { identities, lastSequence };
  }

  async count(
    adId: string,
    range: ReplayRange,
    identities: ReadonlySet<string>,
    scan: ScanParts,
  ): Promise<void> {
    const fold = new AuditFold(this.#horizonMs);
    const wanted = wantedOfAd(adId, (facts) => identities.has(identityKey(facts)));
    for await (const message of standingRecords(range, wanted, scan)) {
      for (const record of fold.judge(message)) if (record.minute === this.#minute) this.#add(record);
    }
  }

  compare({ counts, adjustments, needsLongerReplay }: StoredWindow, shares: readonly ShardShare[]) {
    const stored = sumOf(counts, adjustments);
    const recounted = asTotals(this.#counts);
    const equal = areEqual(stored, recounted);
    const verdict = equal ? 'EQUAL' : needsLongerReplay ? 'UNDECIDED' : 'DIFFERENT';
    return {
      verdict,
      stored,
      recounted,
      records: this.#records,
      late: this.#late,
      explanation: equal ? undefined : this.#explain(stored, recounted),
      shares,
    } as const;
  }

  #add(record: AuditedRecord): void {
    countRecord(this.#counts, record, record.fate);
    countRecord(this.#liveCounts, record, record.countedAs);
    if (record.fate !== 'DUPLICATE' && this.#counted.length < EXPLAINED_RECORDS_MAX)
      this.#counted.push(record);
    if (record.fate === record.countedAs) return;
    this.#late += 1;
    if (this.#lateRecords.length < DIFFERING_RECORDS_MAX)
      this.#lateRecords.push({ record, storedAs: record.countedAs });
  }

  #explain(stored: WindowTotals, recounted: WindowTotals): Explanation {
    if (areEqual(stored, asTotals(this.#liveCounts)))
      return { kind: 'LATE_RECORDS', records: this.#lateRecords };
    return explainByOne(stored, recounted, this.#counted);
  }
}

function tooLarge(): AuditTooLargeError {
  return new AuditTooLargeError(
    `the window has clicks of more than ${IDENTITIES_MAX} impressions: right is StartReconcile with this ad and range, which works with files`,
  );
}
