/** A shard's stream as its readers see it. */

export interface StreamMessage {
  readonly sequence: number;
  /** The broker's timestamp, milliseconds since the Unix epoch. */
  readonly timestampMs: number;
  readonly bytes: Uint8Array;
}

/** A message with all that is kept of it in the archive. */
export interface StoredMessage extends StreamMessage {
  /** The broker's timestamp, nanoseconds since the Unix epoch, as exactly as its readers get it: to 256 ns. */
  readonly timestampNanos: bigint;
  /** The id with which it was published. */
  readonly messageId: string | undefined;
}

/** A timestamp as readers of streams have it. */
export function timestampMsOf(timestampNanos: bigint): number {
  return Number(timestampNanos) / 1e6;
}

export interface StreamState {
  /** When the stream was created: a stream made anew has another. */
  readonly incarnation: string;
  /** First and last sequence that it holds; last = first - 1 where it holds none. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** The broker's clock when it said so, milliseconds since the Unix epoch. */
  readonly brokerTimeMs: number;
}

/** The stream does not hold what comes next: counting on would lose clicks in silence (I2). */
export class StreamGapError extends Error {
  override readonly name = 'StreamGapError';
}
