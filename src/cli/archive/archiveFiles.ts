/** The archive's files of a time, at hand on this machine and held against their hashes. */
import { readArchivedStreams } from '../../archive/manifest.ts';
import type { ArchiveStore, FetchedFile } from '../../archive/ports.ts';
import { fetchSegment } from '../../archive/segmentCopy.ts';
import {
  ArchiveDamagedError,
  type ArchivedSegment,
  type ArchivedStream,
} from '../../domain/archivedSegment.ts';
import { CliError } from '../cliError.ts';
import { formatCount } from '../format.ts';
import type { TimeRange } from '../query/timeRange.ts';
import { showLive } from '../terminal.ts';
import { nothingArchived } from './archiveTable.ts';

/** A bucket's files are copied to `TMPDIR` first; more of them are too many. */
const BYTES_MAX = 32 * 2 ** 30;

/**
 * @param range files with messages that were published in it; undefined: all
 * @throws CliError where there are none, too many, or one that is damaged
 */
export async function withArchiveFiles<T>(
  store: ArchiveStore,
  range: TimeRange | undefined,
  use: (paths: readonly string[]) => Promise<T>,
): Promise<T> {
  const files: FetchedFile[] = [];
  try {
    const wanted = within(await readArchivedStreams(store), range);
    if (wanted.length === 0)
      throw new CliError(range === undefined ? nothingArchived(store.place) : nothingThen(store.place));
    checkBytes(wanted);
    for (const [stream, segment] of wanted) {
      showLive(`${formatCount(files.length)} of ${formatCount(wanted.length)} files`);
      files.push(await fetchSegment(store, stream, segment));
    }
    showLive('');
    return await use(files.map(({ path }) => path));
  } catch (error) {
    if (error instanceof ArchiveDamagedError) throw new CliError(error.message);
    throw error;
  } finally {
    showLive('');
    for (const file of files) await file.release();
  }
}

type Wanted = readonly [ArchivedStream, ArchivedSegment];

function within(streams: readonly ArchivedStream[], range: TimeRange | undefined): Wanted[] {
  const { fromMs, toMs } = range ?? { fromMs: -Infinity, toMs: Infinity };
  return streams.flatMap((stream) =>
    stream.segments
      .filter(({ firstMs, streamTimeMs }) => firstMs < toMs && streamTimeMs >= fromMs)
      .map((segment): Wanted => [stream, segment]),
  );
}

function nothingThen(place: string): string {
  return `${place} holds nothing of that time: ./clickledger archive shows what it holds`;
}

function checkBytes(wanted: readonly Wanted[]): void {
  const bytes = wanted.reduce((sum, [, segment]) => sum + segment.bytes, 0);
  if (bytes > BYTES_MAX)
    throw new CliError(
      `${formatCount(bytes)} bytes are to be read, at most ${formatCount(BYTES_MAX)} at once: right is a part, by --from and --to`,
    );
}
