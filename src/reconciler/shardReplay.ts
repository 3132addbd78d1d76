/**
 * Replays a part of one shard's stream: judges it as its owner did (I11), and folds it with a memory that forgets
 * nothing.
 *
 * I14: that memory grows with the records. A shard with more of them than `PARTITION_RECORDS_MAX` is written to files
 * first, its identities spread over so many that each holds about so many records, and folded file by file.
 */
import { foldSeconds } from '../domain/fold.ts';
import type { Recount } from '../domain/recount.ts';
import type { ReplayedShard } from '../domain/replayers.ts';
import { type ReplayRange, UndecidedError } from '../domain/replayRange.ts';
import {
  encodeReplayRecord,
  partitionOf,
  type ReplayRecord,
  ReplayRecordDecoder,
  replayRecords,
} from '../domain/replayRecord.ts';
import type { RulesInForce } from '../domain/rulesInForce.ts';
import { examineMessage, type Routing, type ShardStreams } from '../domain/shardStreams.ts';
import { WholeFold } from '../domain/wholeFold.ts';
import type { Spill } from './ports.ts';

/** Records whose identities are in memory at a time, of each shard that is replayed: with 67 bytes each, 67 MB. */
export const PARTITION_RECORDS_MAX = 1_000_000;

export interface ReplayParts {
  readonly streams: ShardStreams;
  readonly routing: Routing;
  readonly rules: RulesInForce;
  readonly newSpill: (parts: number) => Spill;
  readonly partitionRecordsMax: number;
  readonly recount: Recount;
  readonly withDimensions: boolean;
  /** Takes what is in the recount, so that there is room. */
  readonly drain: () => Promise<void>;
  /** Hears how many records were read since it was called last. */
  readonly onRecords: (records: number) => void;
  readonly stop: AbortSignal;
}

/** @param recordsMost no more than so many are expected in the range */
export async function replayShard(
  range: ReplayRange,
  recordsMost: number,
  parts: ReplayParts,
): Promise<ReplayedShard> {
  const partitions = Math.max(1, Math.ceil(recordsMost / parts.partitionRecordsMax));
  if (partitions === 1) {
    const fold = newFold(parts, recordsMost);
    return readShard(range, parts, (record) => parts.recount.add(record, fold.judge(record)));
  }
  const spill = parts.newSpill(partitions);
  try {
    const replayed = await readShard(range, parts, (record) =>
      spill.append(partitionOf(record, partitions), encodeReplayRecord(record)),
    );
    const recordsAPart = Math.ceil(recordsMost / partitions);
    for (let part = 0; part < partitions; part++) await foldPart(spill.read(part), recordsAPart, parts);
    return replayed;
  } finally {
    spill.close();
  }
}

async function foldPart(
  pieces: Iterable<Buffer>,
  recordsExpected: number,
  parts: ReplayParts,
): Promise<void> {
  const fold = newFold(parts, recordsExpected);
  const decoder = new ReplayRecordDecoder();
  for (const piece of pieces) {
    for (const record of decoder.push(piece)) parts.recount.add(record, fold.judge(record));
    if (parts.recount.isFull) await parts.drain();
  }
  decoder.end();
}

function newFold({ routing }: ReplayParts, recordsExpected: number): WholeFold {
  return new WholeFold(routing.table.rules.dedupHorizonMs, recordsExpected);
}

async function readShard(
  range: ReplayRange,
  parts: ReplayParts,
  take: (record: ReplayRecord) => void,
): Promise<ReplayedShard> {
  const { shard, incarnation, fromSequence, throughSequence } = range;
  const { streams, routing, rules, recount, withDimensions, stop } = parts;
  let next = fromSequence;
  let streamSeconds = 0;
  let records = 0;
  let deadLetters = 0;
  for await (const message of streams.read(shard, incarnation, fromSequence, stop, throughSequence)) {
    next = message.sequence + 1;
    streamSeconds = Math.max(streamSeconds, foldSeconds(message.timestampMs));
    const judged = await examineMessage(message, shard, streams, routing, rules);
    for (const record of replayRecords(judged, streamSeconds, withDimensions)) take(record);
    if (recount.isFull) await parts.drain();
    const count = judged.clicks.length + judged.deadLetters.length;
    records += count;
    deadLetters += judged.deadLetters.length;
    parts.onRecords(count);
  }
  stop.throwIfAborted();
  // A reader that ends early would make what it did not read look as if it had never been there.
  if (next <= throughSequence)
    throw new UndecidedError(`the stream of shard ${shard} was read only to ${next - 1}`);
  return { records, deadLetters };
}
