/** Where somebody is in a shard's stream, and whether the stream still is the one that was counted (I2). */
import { StreamGapError, type StreamState } from './streamMessage.ts';

export interface StreamPlace {
  readonly shard: number;
  /** The stream that was counted: when it was created. */
  readonly incarnation: string;
  /** The sequence that comes next; everything before it was counted. */
  readonly next: number;
}

/**
 * @throws StreamGapError where what comes next on the stream is not what follows on the counts, in words that tell an
 * operator what to do
 */
export function checkStream(
  { incarnation, firstSequence, lastSequence }: StreamState,
  place: StreamPlace,
): void {
  const { shard, next } = place;
  checkIncarnation(shard, place.incarnation, incarnation);
  const counted = next - 1;
  if (lastSequence < counted) {
    throw new StreamGapError(
      `the stream of shard ${shard} ends at sequence ${lastSequence}, but the counts reach to ${counted}: it went back to an earlier state. Nothing more of this shard is counted: restore a copy of the stream that reaches to ${counted}, or begin with an empty database`,
    );
  }
  if (firstSequence > next) {
    throw new StreamGapError(
      `the stream of shard ${shard} starts at sequence ${firstSequence}, but the counts reach only to ${counted}: what lay between is not on it any more. Nothing more of this shard is counted: restore a copy of the stream that holds ${next}`,
    );
  }
}

/** @throws StreamGapError where the shard's stream is not the one that was counted */
export function checkIncarnation(shard: number, counted: string, found: string): void {
  if (found === counted) return;
  throw new StreamGapError(
    `the stream of shard ${shard} was made anew at ${found}; the counts were made from the one of ${counted}. Nothing of the new stream is counted: restore that stream, or begin with an empty database`,
  );
}
