/** Segments as they are put into the archive and taken out of it again: never without being held against their hashes. */
import {
  ArchiveDamagedError,
  type ArchivedSegment,
  type ArchivedStream,
  streamFolder,
} from '../domain/archivedSegment.ts';
import type { StoredMessage } from '../domain/streamMessage.ts';
import type { ArchiveStore, FetchedFile, SegmentFormat } from './ports.ts';

/** A hash of what messages are, whatever file they stand in. */
export class ContentHash {
  readonly #hash = new Bun.CryptoHasher('sha256');

  add({ sequence, timestampNanos, messageId, bytes }: StoredMessage): void {
    this.#hash.update(JSON.stringify([sequence, String(timestampNanos), messageId ?? null, bytes.length]));
    this.#hash.update(bytes);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

export function segmentName(stream: ArchivedStream, segment: ArchivedSegment): string {
  return `${streamFolder(stream.shard, stream.incarnation)}/${segment.file}`;
}

/**
 * The segment's file, as it was written. Release it.
 * @throws ArchiveDamagedError where it is missing or not what the manifest says, with its name
 */
export async function fetchSegment(
  store: ArchiveStore,
  stream: ArchivedStream,
  segment: ArchivedSegment,
): Promise<FetchedFile> {
  const name = segmentName(stream, segment);
  const file = await store.fetch(name);
  if (file?.sha256 === segment.sha256) return file;
  const what = `messages ${segment.firstSequence} to ${segment.lastSequence} of shard ${stream.shard}`;
  if (file === undefined)
    throw new ArchiveDamagedError(
      `the archive lacks ${store.place}/${name} with ${what}: restore it from a copy`,
    );
  await file.release();
  throw new ArchiveDamagedError(
    `${store.place}/${name} with ${what} is damaged: its SHA-256 is ${file.sha256} with ${file.bytes} bytes, the manifest says ${segment.sha256} with ${segment.bytes}: restore it from a copy`,
  );
}

/** Messages of the segment from one sequence on. @throws ArchiveDamagedError */
export async function* readArchived(
  store: ArchiveStore,
  format: SegmentFormat,
  stream: ArchivedStream,
  segment: ArchivedSegment,
  fromSequence: number,
): AsyncGenerator<StoredMessage> {
  const file = await fetchSegment(store, stream, segment);
  try {
    let next = segment.firstSequence;
    for await (const message of format.read(file.path)) {
      if (message.sequence !== next) throw notAsListed(store, stream, segment);
      next += 1;
      if (message.sequence >= fromSequence) yield message;
    }
    if (next !== segment.lastSequence + 1) throw notAsListed(store, stream, segment);
  } finally {
    await file.release();
  }
}

function notAsListed(store: ArchiveStore, stream: ArchivedStream, segment: ArchivedSegment): Error {
  return new ArchiveDamagedError(
    `${store.place}/${segmentName(stream, segment)} does not hold messages ${segment.firstSequence} to ${segment.lastSequence}, as the manifest says: the manifest was changed by hand. Right is the one that was written`,
  );
}
