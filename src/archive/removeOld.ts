/**
 * Takes off a shard's stream what is older than `STREAM_MAX_AGE`, archived, and counted.
 *
 * The broker can only be told an age, for a moment, and a crash may leave it told. So it is told one only while
 * everything older than half of it is archived and counted: whatever is forgotten, and however many clicks come, nothing
 * else goes for half of STREAM_MAX_AGE (by default 200 days), and whoever starts next takes it back.
 *
 * A stream is never emptied: its last sequence would then stand on nothing but the broker's own notes (I2).
 */
import { type ArchivedStream, newestSegment } from '../domain/archivedSegment.ts';
import type { ArchiverParts } from './ports.ts';
import { fetchSegment } from './segmentCopy.ts';

/** Old messages have to stay, because something younger is not in the archive or in the counts yet. */
export class RetentionWaits extends Error {
  override readonly name = 'RetentionWaits';
}

/**
 * How many messages were removed.
 * @throws RetentionWaits
 * @throws ArchiveDamagedError where a file is not what it was: the stream keeps what should have been in it
 */
export async function removeOld(
  archived: ArchivedStream,
  { streams, store, countedThrough, rules, watcher }: ArchiverParts,
): Promise<number> {
  const { shard, incarnation } = archived;
  const { streamMaxAgeMs, segmentMs, sealMarginMs } = rules;
  const { firstSequence, lastSequence, brokerTimeMs } = await streams.state(shard);
  const firstYounger = (ageMs: number) => streams.firstSequenceAt(shard, incarnation, brokerTimeMs - ageMs);
  // A whole segment's time at once: the broker is not asked for every message that grows old.
  const keepFrom = await firstYounger(streamMaxAgeMs + segmentMs);
  const youngFrom = await firstYounger(streamMaxAgeMs / 2);
  if (keepFrom <= firstSequence || youngFrom > lastSequence) return 0;

  // Asked last: PostgreSQL may have gone back to an earlier state.
  const counted = (await countedThrough()).get(shard);
  const counting = counted?.incarnation === incarnation ? counted.floor : 0;
  // A stream that was restored may hold what was gone before archiving began.
  const hasBeginning = (archived.segments[0]?.firstSequence ?? Infinity) <= firstSequence;
  const archivedThrough = hasBeginning ? (newestSegment(archived)?.lastSequence ?? 0) : 0;
  const held = Math.min(archivedThrough, counting);
  if (held < youngFrom - 1) {
    const why =
      archivedThrough < counting
        ? hasBeginning
          ? `the archive ends at sequence ${archivedThrough}`
          : `the archive does not hold its first message, ${firstSequence}`
        : `the counts reach only to sequence ${counting}`;
    throw new RetentionWaits(
      `the stream of shard ${shard} keeps messages older than STREAM_MAX_AGE: ${why}, and what comes after it is older than half of that`,
    );
  }
  // What may grow old while the broker is told: not more than the time that clocks may differ by.
  const mayGo = (await firstYounger(streamMaxAgeMs - sealMarginMs)) - 1;
  for (const segment of archived.segments) {
    if (segment.lastSequence < firstSequence || segment.firstSequence > mayGo) continue;
    await (await fetchSegment(store, archived, segment)).release();
  }
  const first = await streams.removeOlderThan(shard, streamMaxAgeMs, keepFrom);
  if (first > firstSequence) watcher.removed(shard, firstSequence, first - 1);
  return first - firstSequence;
}
