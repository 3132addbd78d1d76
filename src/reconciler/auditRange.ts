/** Which part of a shard's stream an audit reads, and whether the stream still holds it. Nothing is guessed (I2). */
import { type ReplayRange, UndecidedError } from '../domain/replayRange.ts';
import type { ShardStreams } from '../domain/shardStreams.ts';
import type { CheckpointedShard } from '../domain/storedWindow.ts';
import { checkStream } from '../domain/streamPlace.ts';

/**
 * The messages that the broker stamped at `sinceMs` or later, up to the floor.
 * @throws StreamGapError where the stream is not the one that was counted
 * @throws UndecidedError where it does not reach back so far
 */
export function countedSince(
  shard: CheckpointedShard,
  sinceMs: number,
  streams: ShardStreams,
): Promise<ReplayRange> {
  return rangeSince(shard, sinceMs, streams, () => shard.floor);
}

/** Likewise up to the stream's end as it is now. */
export function standingSince(
  shard: CheckpointedShard,
  sinceMs: number,
  streams: ShardStreams,
): Promise<ReplayRange> {
  return rangeSince(shard, sinceMs, streams, (lastSequence) => lastSequence);
}

async function rangeSince(
  { shard, incarnation, floor }: CheckpointedShard,
  sinceMs: number,
  streams: ShardStreams,
  through: (lastSequence: number) => number,
): Promise<ReplayRange> {
  const state = await streams.state(shard);
  checkStream({ ...state, firstSequence: 0 }, { shard, incarnation, next: floor + 1 });
  const fromSequence = await streams.firstSequenceAt(shard, incarnation, sinceMs);
  const { firstSequence, lastSequence } = state;
  // The first message that is there may be the first in time; what was before it is not known.
  if (firstSequence > 1 && fromSequence <= firstSequence) {
    throw new UndecidedError(
      `the stream of shard ${shard} begins at sequence ${firstSequence}: what arrived from ${new Date(sinceMs).toISOString()} on may have stood before it and is not there any more`,
    );
  }
  return { shard, incarnation, fromSequence, throughSequence: through(lastSequence) };
}
