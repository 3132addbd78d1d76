/** Which part of a shard's stream a recount reads, and whether the stream still holds it. */
import type { RuleSet } from './ruleSet.ts';
import type { StreamState } from './streamMessage.ts';
import { checkStream } from './streamPlace.ts';

/** A shard's checkpoint as a recount is held against it. */
export interface CountedShard {
  readonly shard: number;
  readonly incarnation: string;
  readonly floor: number;
  readonly records: number;
  readonly deadLetters: number;
}

export interface ReplayRange {
  readonly shard: number;
  readonly incarnation: string;
  /** Both ends belong to it; beyond `throughSequence` where there is nothing to read. */
  readonly fromSequence: number;
  readonly throughSequence: number;
}

/** It cannot be said whether the counts are right. */
export class UndecidedError extends Error {
  override readonly name = 'UndecidedError';
}

/** By so much the clocks of gateways and broker may differ for a recount of a part to be right. */
const CLOCK_MARGIN_MS = 86_400_000;

/**
 * Messages with this timestamp or a later one are needed to recount the minutes from `fromMs` on: a click's verdict needs
 * the horizon before it (I4).
 */
export function replayStartMs(fromMs: number, rules: RuleSet): number {
  return Math.max(0, standingStartMs(fromMs, rules) - rules.dedupHorizonMs);
}

/**
 * Clicks of the minutes from `fromMs` on, and those whose ids were made from then on, stand on messages with this
 * timestamp or a later one: a click is received no earlier than `MAX_FUTURE_SKEW` before its times, and stands on the
 * stream no earlier than it was received.
 */
export function standingStartMs(fromMs: number, { maxFutureSkewMs }: RuleSet): number {
  return Math.max(0, fromMs - maxFutureSkewMs - CLOCK_MARGIN_MS);
}

/**
 * @param startSequence the first message at or after `replayStartMs`; undefined: everything is recounted
 * @throws StreamGapError where the stream is not the one that was counted, or ends before the floor (I2)
 * @throws UndecidedError where it does not hold the start any more
 */
export function replayRange(
  { shard, incarnation, floor }: CountedShard,
  state: StreamState,
  startSequence: number | undefined,
): ReplayRange {
  checkStream({ ...state, firstSequence: 0 }, { shard, incarnation, next: floor + 1 });
  const { firstSequence } = state;
  if (startSequence === undefined && firstSequence > 1) {
    throw new UndecidedError(
      `the stream of shard ${shard} begins at sequence ${firstSequence}: what was counted before is not on it any more. Right is a range that it still holds: --from and --to`,
    );
  }
  // The first message that is there may be the first in time; what was before it is not known.
  if (startSequence !== undefined && firstSequence > 1 && startSequence <= firstSequence) {
    throw new UndecidedError(
      `the stream of shard ${shard} begins at sequence ${firstSequence}, later than the dedup horizon and a day before --from: right is a later --from`,
    );
  }
  return { shard, incarnation, fromSequence: startSequence ?? 1, throughSequence: floor };
}
