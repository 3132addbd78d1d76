/** Holds every file of the archive against its manifest, and every manifest against itself. */
import { ArchiveDamagedError } from '../domain/archivedSegment.ts';
import { manifestNames, readManifest } from './manifest.ts';
import type { ArchiveStore } from './ports.ts';
import { fetchSegment } from './segmentCopy.ts';

export interface VerifiedArchive {
  readonly streams: number;
  readonly files: number;
  readonly bytes: number;
  /** What is wrong, each with the name of its file. */
  readonly damages: readonly string[];
}

/** @param onFile hears of the bytes of each file that was read */
export async function verifyArchive(
  store: ArchiveStore,
  onFile: (bytes: number) => void,
  stop: AbortSignal,
): Promise<VerifiedArchive> {
  const damages: string[] = [];
  const verified = { streams: 0, files: 0, bytes: 0, damages };
  const note = (error: unknown) => {
    if (!(error instanceof ArchiveDamagedError)) throw error;
    damages.push(error.message);
  };
  for (const name of await manifestNames(store)) {
    const stream = await readManifest(store, name).catch(note);
    if (stream === undefined) continue;
    verified.streams += 1;
    for (const segment of stream.segments) {
      stop.throwIfAborted();
      verified.files += 1;
      verified.bytes += segment.bytes;
      const file = await fetchSegment(store, stream, segment).catch(note);
      await file?.release();
      onFile(segment.bytes);
    }
  }
  return verified;
}
