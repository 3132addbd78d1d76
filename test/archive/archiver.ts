/** An archiver over a stream in memory, a folder and Parquet files that are real. */
import { join } from 'node:path';
import { ArchiveFolder } from '../../src/adapters/disk/archiveFolder.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { readSegment } from '../../src/adapters/parquet/segmentReader.ts';
import { SegmentWriter } from '../../src/adapters/parquet/segmentWriter.ts';
import { ArchivedStreams } from '../../src/archive/archivedStreams.ts';
import { archiveSealed } from '../../src/archive/archiveSealed.ts';
import { readArchivedStream } from '../../src/archive/manifest.ts';
import type { ArchiverParts, ArchiveStore, SegmentFormat } from '../../src/archive/ports.ts';
import type { StreamMessage } from '../../src/domain/streamMessage.ts';
import { testFolder } from '../cli/stack/testFolder.ts';
import { AgingStream, SHARD } from '../support/agingStream.ts';
import { NOON_MS, recordOf, uuid7At } from '../support/clicks.ts';

export const HOUR_MS = 3_600_000;
export const FORMAT: SegmentFormat = {
  write: (path, stream) => new SegmentWriter(path, stream),
  read: readSegment,
};

export class Archiver {
  readonly stream = new AgingStream(NOON_MS);
  readonly store: ArchiveFolder;
  readonly folder: string;
  /** Through where the stream is counted; undefined: all of it. */
  floor: number | undefined;
  readonly troubles: string[] = [];
  readonly removed: [number, number][] = [];
  maxAgeMs = 48 * HOUR_MS;
  isLocked = false;

  private constructor(folder: string) {
    this.folder = folder;
    this.store = new ArchiveFolder(folder);
  }

  static async make(): Promise<Archiver> {
    return new Archiver(join(await testFolder(), 'archive'));
  }

  /** Publishes so many messages, one after the other so far apart. */
  publish(messages: number, apartMs: number): void {
    for (let count = 0; count < messages; count++) {
      const clicks = [recordOf({ clickId: uuid7At(this.stream.timeMs, this.stream.all.length) })];
      this.stream.publish(encodeClickBatch(1, clicks.map(encodeClickRecord)));
      this.stream.timeMs += apartMs;
      this.stream.expire();
    }
  }

  parts(store: ArchiveStore = this.store): ArchiverParts {
    return {
      streams: this.stream,
      store,
      format: FORMAT,
      takeLock: async () =>
        this.isLocked ? undefined : { check: async () => undefined, release: async () => undefined },
      countedThrough: async () =>
        new Map([
          [SHARD, { incarnation: this.stream.incarnation, floor: this.floor ?? this.stream.all.length }],
        ]),
      rules: { segmentMs: HOUR_MS, sealMarginMs: 60_000, streamMaxAgeMs: this.maxAgeMs },
      watcher: {
        archived: () => undefined,
        removed: (_shard, from, through) => this.removed.push([from, through]),
        troubled: (_shard, error) => this.troubles.push(String(error)),
      },
    };
  }

  run(store?: ArchiveStore) {
    return archiveSealed(this.parts(store), new AbortController().signal);
  }

  archived() {
    return readArchivedStream(this.store, SHARD, this.stream.incarnation);
  }

  /** The stream as a recount reads it. */
  streams(): ArchivedStreams {
    return new ArchivedStreams(this.stream, this.store, FORMAT);
  }

  async readAll(from = 1, through = this.stream.all.length): Promise<StreamMessage[]> {
    const { signal } = new AbortController();
    const read: StreamMessage[] = [];
    for await (const message of this.streams().read(SHARD, this.stream.incarnation, from, signal, through))
      read.push(message);
    return read;
  }
}

/** What of a message a replay sees. */
export function seen(messages: readonly StreamMessage[]) {
  return messages.map(({ sequence, timestampMs, bytes }) => [
    sequence,
    timestampMs,
    Buffer.from(bytes).toString('hex'),
  ]);
}
