/** A record that cannot be judged: it is kept with its reason, and counted as such, never dropped (I12). */

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
