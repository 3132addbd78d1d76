/**
 * What became of a click: its records by its click_id, or one record by its position.
 *
 * Its verdict depends on the other records of its identity alone, and these are no older than the UUID that identifies
 * it. So they are folded from that UUID's time on, and the answer forgets nothing, however long the horizon is.
 */
import type { ClickFacts } from '../domain/clickRecord.ts';
import { identityUuid } from '../domain/identity.ts';
import type { Position } from '../domain/position.ts';
import { type ReplayRange, standingStartMs, UndecidedError } from '../domain/replayRange.ts';
import type { CheckpointedShard } from '../domain/storedWindow.ts';
import { uuid7TimeMs } from '../domain/uuid7.ts';
import { type AuditedRecord, AuditFold, deadRecord } from './auditFold.ts';
import { OCCURRENCES_MAX } from './auditLimits.ts';
import type { AuditParts } from './auditPorts.ts';
import { standingSince } from './auditRange.ts';
import { openScan } from './auditScan.ts';
import {
  type ScanParts,
  type StandingMessage,
  standingRecords,
  type Wanted,
  wantedOfIdentities,
} from './standingRecords.ts';
import { shardsOfAd } from './windowAudit.ts';

export interface FoundClick {
  /** By shard, then by place. */
  readonly records: readonly (AuditedRecord & { readonly counted: boolean })[];
  readonly searched: readonly ReplayRange[];
  /** From this moment of the broker's clock on, milliseconds since the Unix epoch. */
  readonly sinceMs: number;
}

export interface ClickWanted {
  readonly clickId: Uint8Array;
  /** undefined: every shard is searched. */
  readonly adId: string | undefined;
  /** undefined: from the click_id's own time on. */
  readonly sinceMs: number | undefined;
}

/** @throws UndecidedError, StreamGapError */
export async function findClick(
  { clickId, adId, sinceMs }: ClickWanted,
  parts: AuditParts,
  stop: AbortController,
): Promise<FoundClick> {
  const checkpoints = await parts.ledger.checkpoints();
  await parts.routing.read();
  const shards = adId === undefined ? checkpoints : await shardsOfAd(adId, checkpoints, parts);
  const scan = openScan(parts, await parts.ledger.reclassifications(), stop);
  const since = sinceMs ?? standingStartMs(uuid7TimeMs(clickId), parts.routing.table.rules);
  const wanted: Wanted = {
    bytes: Buffer.from(clickId),
    wants: ({ facts, bytes }) =>
      facts === undefined ? holdsBytes(bytes, clickId) : equalBytes(facts.clickId, clickId),
  };
  const searched: ReplayRange[] = [];
  const records: (AuditedRecord & { counted: boolean })[] = [];
  for (const shard of shards) {
    const range = await standingSince(shard, since, scan.streams);
    searched.push(range);
    const found = await recordsOf(range, wanted, scan);
    const ofAd = found.filter(({ facts }) => adId === undefined || facts?.adId === adId);
    const judged = await judgeAll(ofAd, shard, parts, scan);
    records.push(...judged.map((record) => withCounted(record, shard)));
    if (records.length > OCCURRENCES_MAX) break;
  }
  return { records: records.slice(0, OCCURRENCES_MAX), searched, sinceMs: since };
}

/** undefined: there is no such record. @throws UndecidedError, StreamGapError */
export async function findRecord(
  position: Position,
  parts: AuditParts,
  stop: AbortController,
): Promise<FoundClick | undefined> {
  const checkpoints = await parts.ledger.checkpoints();
  await parts.routing.read();
  const shard = checkpoints.find((one) => one.shard === position.shard);
  if (shard === undefined) return undefined;
  if (shard.incarnation !== position.incarnation) {
    throw new UndecidedError(
      `the stream of shard ${shard.shard} was made at ${shard.incarnation}, the receipt is of one made at ${position.incarnation}`,
    );
  }
  const scan = openScan(parts, await parts.ledger.reclassifications(), stop);
  const { firstSequence, lastSequence } = await scan.streams.state(shard.shard);
  if (position.sequence > lastSequence) return undefined;
  if (position.sequence < firstSequence) {
    throw new UndecidedError(
      `the stream of shard ${shard.shard} begins at sequence ${firstSequence}: sequence ${position.sequence} is not there any more`,
    );
  }
  const range = { ...position, fromSequence: position.sequence, throughSequence: position.sequence };
  const wanted: Wanted = { bytes: undefined, wants: (_record, index) => index === position.index };
  const found = await recordsOf(range, wanted, scan);
  const judged = await judgeAll(found, shard, parts, scan);
  if (judged.length === 0) return undefined;
  return { records: judged.map((record) => withCounted(record, shard)), searched: [range], sinceMs: 0 };
}

function withCounted(record: AuditedRecord, { floor }: CheckpointedShard) {
  return { ...record, counted: record.position.sequence <= floor };
}

/** A wanted record as it stands; `dead` where it could not be judged. */
interface Occurrence {
  readonly position: Position;
  readonly facts: ClickFacts | undefined;
  readonly dead: AuditedRecord | undefined;
}

async function recordsOf(range: ReplayRange, wanted: Wanted, scan: ScanParts): Promise<Occurrence[]> {
  const found: Occurrence[] = [];
  for await (const message of standingRecords(range, wanted, scan)) {
    found.push(...occurrencesIn(message));
    if (found.length > OCCURRENCES_MAX) break;
  }
  return found;
}

function occurrencesIn({ judged, positions, dead, storedMs }: StandingMessage): Occurrence[] {
  const clicks = judged.clicks.flatMap(({ facts }, index) => {
    const position = positions[index];
    return position === undefined ? [] : [{ position, facts, dead: undefined }];
  });
  const letters = dead.map((one) => {
    return { position: one.position, facts: one.facts, dead: deadRecord(one, storedMs) };
  });
  return [...clicks, ...letters].sort((left, right) => left.position.index - right.position.index);
}

/** Folds the identities of the occurrences, from the first of their UUIDs' times on. */
async function judgeAll(
  occurrences: readonly Occurrence[],
  shard: CheckpointedShard,
  parts: AuditParts,
  scan: ScanParts,
): Promise<AuditedRecord[]> {
  const records = occurrences.flatMap(({ dead }) => dead ?? []);
  const clicks = occurrences.flatMap(({ facts, dead, position }) =>
    facts === undefined || dead !== undefined ? [] : [{ facts, position }],
  );
  const last = clicks.at(-1);
  if (last === undefined) return records;
  const { rules } = parts.routing.table;
  const bornMs = Math.min(...clicks.map(({ facts }) => earliestMs(facts)));
  const range = await standingSince(shard, standingStartMs(bornMs, rules), scan.streams);
  const places = new Set(clicks.map(({ position }) => placeOf(position)));
  const wanted = wantedOfIdentities(clicks.map(({ facts }) => facts));
  const fold = new AuditFold(rules.dedupHorizonMs);
  const through = { ...range, throughSequence: last.position.sequence };
  for await (const message of standingRecords(through, wanted, scan))
    records.push(...fold.judge(message).filter(({ position }) => places.has(placeOf(position))));
  return records.sort(byPlace);
}

/** No record of the click's identity was received before; where an id was made ahead of its time, its receipt says so. */
function earliestMs(facts: ClickFacts): number {
  return Math.min(uuid7TimeMs(identityUuid(facts)), uuid7TimeMs(facts.clickId), facts.receivedMs);
}

function byPlace({ position: left }: AuditedRecord, { position: right }: AuditedRecord): number {
  return left.sequence - right.sequence || left.index - right.index;
}

function placeOf({ sequence, index }: Position): string {
  return `${sequence} ${index}`;
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

function holdsBytes(bytes: Uint8Array, wanted: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(wanted);
}
