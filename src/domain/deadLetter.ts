/** A record that cannot be judged: it is kept with its reason, and counted as such, never dropped (I12). */
import type { Position, PublishedBatch } from './position.ts';

/**
 * undecodable: its bytes cannot be read. misrouted: it stands on a shard that is not its own. unjudgeable: judging
 * it fails, which no record should bring about: a defect of this release.
 */
export const DEAD_LETTER_REASONS = ['undecodable', 'misrouted', 'unjudgeable'] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

export interface DeadLetter {
  readonly sequence: number;
  /** The record's place in its message; 0 where the message itself cannot be read. */
  readonly index: number;
  readonly reason: DeadLetterReason;
  readonly bytes: Uint8Array;
}

/** A dead letter as the ledger keeps it, with its own position. */
export interface StoredDeadLetter extends Position {
  readonly reason: DeadLetterReason;
  readonly bytes: Uint8Array;
  /** When it was stored, milliseconds since the Unix epoch; -Infinity: before that was written down. */
  readonly buriedMs: number;
  readonly redriven: Redriven | undefined;
}

/** Where the clicks of a letter stand since they were published again. */
export interface Redriven extends PublishedBatch {
  readonly shard: number;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Which letters; what is not given does not matter. */
export interface DeadLetterSelection {
  readonly shard?: number | undefined;
  readonly sequence?: number | undefined;
  readonly index?: number | undefined;
  readonly reason?: DeadLetterReason | undefined;
}
