/** What archiving needs of the outside; commands and processes hand it the adapters. */
import type { ArchivedSegment } from '../domain/archivedSegment.ts';
import type { StoredMessage, StreamState } from '../domain/streamMessage.ts';

/** A folder or a bucket. Names have `/` between their parts. */
export interface ArchiveStore {
  /** How messages name it. */
  readonly place: string;
  /** undefined: there is nothing of this name. */
  readText(name: string): Promise<string | undefined>;
  /** In one step: whoever reads sees the old text or the new one. Durable when it returns. */
  writeText(name: string, text: string): Promise<void>;
  /** The names that end so, in order. */
  list(ending: string): Promise<string[]>;
  /** A path on this machine for a file that is being made. Those of a killed run are removed. */
  newFile(): Promise<string>;
  removeFile(path: string): Promise<void>;
  /** Takes in a file that was made, in one step; durable when it returns. */
  keep(path: string, name: string): Promise<void>;
  /** undefined: there is nothing of this name. */
  fetch(name: string): Promise<FetchedFile | undefined>;
}

/** A copy to read, or the file itself. */
export interface FetchedFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  release(): Promise<void>;
}

/** A file of a segment that is being made. */
export interface SegmentFile {
  add(message: StoredMessage): void;
  /** Returns when it is on disk. */
  finish(): Pick<ArchivedSegment, 'rows' | 'records' | 'bytes' | 'sha256'>;
  /** Lets go of it, unfinished. */
  discard(): void;
}

/** How segments are written and read. */
export interface SegmentFormat {
  write(path: string, stream: { readonly shard: number; readonly incarnation: string }): SegmentFile;
  read(path: string): AsyncIterable<StoredMessage>;
}

/** The shards' streams as the broker holds them. */
export interface LiveStreams {
  shards(): Promise<readonly number[]>;
  state(shard: number): Promise<StreamState>;
  firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number>;
  readStored(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence: number,
  ): AsyncIterable<StoredMessage>;
  /** Removes what is older, everything before `keepFrom` at least; the first sequence afterwards. */
  removeOlderThan(shard: number, maxAgeMs: number, keepFrom: number): Promise<number>;
  /** Takes back what a killed `removeOlderThan` has left. */
  keepEverything(shard: number): Promise<void>;
}

/** How far a shard's stream is inside the counts. */
export interface CountedThrough {
  readonly incarnation: string;
  readonly floor: number;
}

/** While somebody has it, nobody else archives. */
export interface ArchiveLock {
  /** @throws Error where it was lost */
  check(): Promise<void>;
  release(): Promise<void>;
}

export interface ArchiveRules {
  /** How much time a segment holds: an hour. */
  readonly segmentMs: number;
  /** So long after its end an hour is sealed: the broker's clock may step back by as much. */
  readonly sealMarginMs: number;
  /** So long the streams keep messages at least. */
  readonly streamMaxAgeMs: number;
}

/** Hears what is done. */
export interface ArchiveWatcher {
  archived(shard: number, segment: ArchivedSegment): void;
  removed(shard: number, fromSequence: number, throughSequence: number): void;
  /** A shard's part failed, or old messages must stay; the other shards go on. */
  troubled(shard: number, error: unknown): void;
}

export interface ArchiverParts {
  readonly streams: LiveStreams;
  readonly store: ArchiveStore;
  readonly format: SegmentFormat;
  /** undefined: another archiver has it. */
  readonly takeLock: () => Promise<ArchiveLock | undefined>;
  readonly countedThrough: () => Promise<ReadonlyMap<number, CountedThrough>>;
  readonly rules: ArchiveRules;
  readonly watcher: ArchiveWatcher;
}
