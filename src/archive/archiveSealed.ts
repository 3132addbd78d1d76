/**
 * Puts the sealed hours of every shard's stream into the archive, then takes off the streams what is old, archived and
 * counted (removeOld.ts). Any process may call it at any time; one works at a time.
 *
 * A segment is written into a new file, read back, held against what was read from the stream, kept under its name, and
 * counts from the moment at which the manifest names it. Killed anywhere, the next run does the segment again: the same
 * messages give the same file.
 */
import {
  type ArchivedSegment,
  type ArchivedStream,
  hourOf,
  newestSegment,
  sealedBeforeMs,
  segmentFileName,
} from '../domain/archivedSegment.ts';
import { type StoredMessage, StreamGapError, type StreamState } from '../domain/streamMessage.ts';
import { readArchivedStream, writeManifest } from './manifest.ts';
import type { ArchiveLock, ArchiverParts, SegmentFile } from './ports.ts';
import { removeOld } from './removeOld.ts';
import { ContentHash, segmentName } from './segmentCopy.ts';

export interface ArchivePass {
  readonly segments: number;
  readonly records: number;
  readonly bytes: number;
  readonly messagesRemoved: number;
  /** Shards of which not everything could be done; the watcher heard why. */
  readonly shardsTroubled: readonly number[];
}

/** undefined: another archiver is at work. @throws what kept all shards from being archived */
export async function archiveSealed(
  parts: ArchiverParts,
  stop: AbortSignal,
): Promise<ArchivePass | undefined> {
  const lock = await parts.takeLock();
  if (lock === undefined) return undefined;
  try {
    return await archiveShards(parts, lock, stop);
  } finally {
    await lock.release();
  }
}

async function archiveShards(
  parts: ArchiverParts,
  lock: ArchiveLock,
  stop: AbortSignal,
): Promise<ArchivePass> {
  const shardsTroubled: number[] = [];
  const pass = { segments: 0, records: 0, bytes: 0, messagesRemoved: 0, shardsTroubled };
  const take = (shard: number, segment: ArchivedSegment) => {
    pass.segments += 1;
    pass.records += segment.records;
    pass.bytes += segment.bytes;
    parts.watcher.archived(shard, segment);
  };
  for (const shard of await parts.streams.shards()) {
    stop.throwIfAborted();
    try {
      await parts.streams.keepEverything(shard);
      const archived = await archiveShard(shard, parts, lock, stop, take);
      await lock.check();
      pass.messagesRemoved += await removeOld(archived, parts);
    } catch (error) {
      stop.throwIfAborted();
      await lock.check();
      shardsTroubled.push(shard);
      parts.watcher.troubled(shard, error);
    }
  }
  return pass;
}

/** What the archive has of the shard's stream in the end. */
async function archiveShard(
  shard: number,
  { streams, store, format, rules }: ArchiverParts,
  lock: ArchiveLock,
  stop: AbortSignal,
  take: (shard: number, segment: ArchivedSegment) => void,
): Promise<ArchivedStream> {
  const state = await streams.state(shard);
  const { incarnation } = state;
  let archived = await readArchivedStream(store, shard, incarnation);
  const next = nextSequence(archived, state);
  const sealedMs = sealedBeforeMs(state.brokerTimeMs, rules.segmentMs, rules.sealMarginMs);
  // The broker may name the first one up to a millisecond earlier; the hours of what is read decide.
  const through = (await streams.firstSequenceAt(shard, incarnation, sealedMs + 1)) - 1;
  if (through < next) return archived;

  let open: OpenSegment | undefined;
  const seal = async (segment: OpenSegment) => {
    const written = await segment.write(newestSegment(archived));
    archived = { ...archived, segments: [...archived.segments, written] };
    // The name tells what is in it, so nothing that is listed is ever written over by something else.
    await lock.check();
    await store.keep(segment.path, segmentName(archived, written));
    await lock.check();
    await writeManifest(store, archived);
    take(shard, written);
  };
  let streamTimeMs = newestSegment(archived)?.streamTimeMs ?? 0;
  let read = next - 1;
  let isOpenHour = false;
  try {
    for await (const message of streams.readStored(shard, incarnation, next, stop, through)) {
      const hour = hourOf(message.timestampMs, streamTimeMs, newestSegment(archived), rules.segmentMs);
      if (open !== undefined && hour.hourMs > open.hourMs) {
        await seal(open);
        open = undefined;
      }
      isOpenHour = hour.hourMs >= sealedMs;
      if (isOpenHour) break;
      streamTimeMs = hour.streamTimeMs;
      open ??= await OpenSegment.begin(hour.hourMs, { shard, incarnation }, { store, format });
      open.add(message, streamTimeMs);
      read = message.sequence;
    }
    stop.throwIfAborted();
    if (!isOpenHour && read !== through)
      throw new Error(`the stream of shard ${shard} was read only to ${read}, not to ${through}`);
    if (open !== undefined) await seal(open);
    open = undefined;
  } finally {
    await open?.discard();
  }
  return archived;
}

/** @throws StreamGapError where the stream does not go on where the archive ends (I2) */
function nextSequence(archived: ArchivedStream, state: StreamState): number {
  const { shard } = archived;
  const newest = newestSegment(archived);
  if (newest === undefined) return state.firstSequence;
  const { lastSequence } = newest;
  if (state.firstSequence > lastSequence + 1) {
    throw new StreamGapError(
      `the stream of shard ${shard} begins at sequence ${state.firstSequence}, but the archive ends at ${lastSequence}: what lay between is in neither. Nothing more of this shard is archived: restore a copy of the stream that holds ${lastSequence + 1}`,
    );
  }
  if (state.lastSequence < lastSequence) {
    throw new StreamGapError(
      `the stream of shard ${shard} ends at sequence ${state.lastSequence}, but the archive holds it up to ${lastSequence}: it went back to an earlier state. Nothing more of this shard is archived: restore a copy of the stream that reaches to ${lastSequence}`,
    );
  }
  return lastSequence + 1;
}

interface SegmentPlace {
  readonly store: ArchiverParts['store'];
  readonly format: ArchiverParts['format'];
}

/** A segment while its messages come in. */
class OpenSegment {
  readonly hourMs: number;
  readonly path: string;
  readonly #place: SegmentPlace;
  readonly #file: SegmentFile;
  readonly #hash = new ContentHash();
  #isWritten = false;
  #first: StoredMessage | undefined;
  #messages = 0;
  #messageBytes = 0;
  #streamTimeMs = 0;
  lastSequence = 0;

  private constructor(hourMs: number, path: string, file: SegmentFile, place: SegmentPlace) {
    this.hourMs = hourMs;
    this.path = path;
    this.#file = file;
    this.#place = place;
  }

  static async begin(
    hourMs: number,
    stream: Pick<ArchivedStream, 'shard' | 'incarnation'>,
    place: SegmentPlace,
  ): Promise<OpenSegment> {
    const path = await place.store.newFile();
    return new OpenSegment(hourMs, path, place.format.write(path, stream), place);
  }

  add(message: StoredMessage, streamTimeMs: number): void {
    this.#file.add(message);
    this.#hash.add(message);
    this.#first ??= message;
    this.#messages += 1;
    this.#messageBytes += message.bytes.length;
    this.#streamTimeMs = streamTimeMs;
    this.lastSequence = message.sequence;
  }

  /** @throws Error where the file does not give back what was put into it */
  async write(previous: ArchivedSegment | undefined): Promise<ArchivedSegment> {
    if (this.#first === undefined) throw new Error('a segment without messages');
    this.#isWritten = true;
    const written = this.#file.finish();
    const contentSha256 = this.#hash.digest();
    const { sequence: firstSequence, timestampMs: firstMs } = this.#first;
    const file = segmentFileName(this.hourMs, firstSequence, this.lastSequence);
    if ((await this.#readBack()) !== contentSha256)
      throw new Error(`${file} does not give back what was written: it is not kept, and the stream stays`);
    return {
      file,
      hourMs: this.hourMs,
      firstSequence,
      lastSequence: this.lastSequence,
      firstMs,
      streamTimeMs: this.#streamTimeMs,
      messages: this.#messages,
      messageBytes: this.#messageBytes,
      ...written,
      contentSha256,
      previousSha256: previous?.sha256 ?? null,
    };
  }

  async discard(): Promise<void> {
    if (!this.#isWritten) this.#file.discard();
    await this.#place.store.removeFile(this.path);
  }

  async #readBack(): Promise<string> {
    const hash = new ContentHash();
    for await (const message of this.#place.format.read(this.path)) hash.add(message);
    return hash.digest();
  }
}
