/**
 * The clicks of an ad and range, page by page, in the order of shards and positions, up to the floors of the moment of
 * the first page. A page's token holds those floors and where the page ended: so no click is shown twice or left out
 * however much is counted meanwhile, and nothing is kept for whoever reads on.
 */
import type { Position } from '../domain/position.ts';
import { replayStartMs, standingStartMs } from '../domain/replayRange.ts';
import type { CheckpointedShard } from '../domain/storedWindow.ts';
import { type AuditedRecord, AuditFold } from './auditFold.ts';
import type { AuditParts } from './auditPorts.ts';
import { countedSince } from './auditRange.ts';
import { openScan } from './auditScan.ts';
import { identityKey, type ScanParts, standingRecords, wantedOfAd } from './standingRecords.ts';
import { shardsOfAd } from './windowAudit.ts';

export interface ClickRange {
  readonly adId: string;
  /** Half-open, on whole minutes. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where a listing goes on. */
export interface ListingPlace {
  /** The ad's shards, as they were counted when the first page was asked for. */
  readonly shards: readonly CheckpointedShard[];
  /** The last record shown. */
  readonly after: Position;
}

export interface ClickPage {
  readonly records: readonly AuditedRecord[];
  /** undefined: there is nothing more. */
  readonly next: ListingPlace | undefined;
}

/** @throws UndecidedError, StreamGapError */
export async function listClicks(
  range: ClickRange,
  size: number,
  place: ListingPlace | undefined,
  parts: AuditParts,
  stop: AbortController,
): Promise<ClickPage> {
  const shards = place?.shards ?? (await shardsOfAd(range.adId, await parts.ledger.checkpoints(), parts));
  const scan = openScan(parts, await parts.ledger.reclassifications(), stop);
  const records: AuditedRecord[] = [];
  for (const shard of shards) {
    if (place !== undefined && shard.shard < place.after.shard) continue;
    const after = place?.after.shard === shard.shard ? place.after : undefined;
    const found = await findPage(range, shard, after, size - records.length, parts, scan);
    records.push(...(await judgePage(range, shard, found.page, parts, scan)));
    const last = records.at(-1);
    if (found.isMore && last !== undefined) return { records, next: { shards, after: last.position } };
  }
  return { records, next: undefined };
}

interface FoundPage {
  readonly page: readonly { readonly position: Position; readonly identity: string }[];
  readonly isMore: boolean;
}

/** The first `size` clicks of the range on the shard after `after`. */
async function findPage(
  { adId, fromMs, toMs }: ClickRange,
  shard: CheckpointedShard,
  after: Position | undefined,
  size: number,
  { routing }: AuditParts,
  scan: ScanParts,
): Promise<FoundPage> {
  const standing = await countedSince(shard, standingStartMs(fromMs, routing.table.rules), scan.streams);
  const fromSequence = Math.max(standing.fromSequence, after?.sequence ?? 0);
  const page: { position: Position; identity: string }[] = [];
  for await (const { judged, positions } of standingRecords(
    { ...standing, fromSequence },
    wantedOfAd(adId),
    scan,
  )) {
    for (const [index, { facts, minute }] of judged.clicks.entries()) {
      const position = positions[index];
      if (position === undefined || minute < fromMs || minute >= toMs) continue;
      if (after !== undefined && !isBehind(position, after)) continue;
      if (page.length === size) return { page, isMore: true };
      page.push({ position, identity: identityKey(facts) });
    }
  }
  return { page, isMore: false };
}

/** Folds the page's identities from one horizon before the range on. */
async function judgePage(
  { adId, fromMs }: ClickRange,
  shard: CheckpointedShard,
  page: FoundPage['page'],
  { routing }: AuditParts,
  scan: ScanParts,
): Promise<AuditedRecord[]> {
  const last = page.at(-1);
  if (last === undefined) return [];
  const { rules } = routing.table;
  const floor = last.position.sequence;
  const range = await countedSince({ ...shard, floor }, replayStartMs(fromMs, rules), scan.streams);
  const identities = new Set(page.map(({ identity }) => identity));
  const shown = new Set(page.map(({ position }) => placeOf(position)));
  const wanted = wantedOfAd(adId, (facts) => identities.has(identityKey(facts)));
  const fold = new AuditFold(rules.dedupHorizonMs);
  const records: AuditedRecord[] = [];
  for await (const message of standingRecords(range, wanted, scan)) {
    for (const record of fold.judge(message)) if (shown.has(placeOf(record.position))) records.push(record);
  }
  return records;
}

function placeOf({ sequence, index }: Position): string {
  return `${sequence} ${index}`;
}

function isBehind(position: Position, after: Position): boolean {
  return (
    position.sequence > after.sequence ||
    (position.sequence === after.sequence && position.index > after.index)
  );
}
