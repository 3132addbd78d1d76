/** What a run takes away of the differences that it has found (I13). */
import type { RollupDifference, WindowDifference } from './difference.ts';
import type { ReplayRange } from './replayRange.ts';
import type { RestatementCause } from './storedWindow.ts';

/** Why counts are changed by a run: they were wrong, the rules are others, or a person decided and says why. */
export type RunCause = Exclude<RestatementCause, 'LATE'>;

export interface RestatedDifference extends WindowDifference {
  /** The rules by which the window's clicks are judged. */
  readonly ruleSetVersion: number;
}

/** Some differences to be taken away, with their restatements, in one transaction (I13). */
export interface RestatementChunk {
  readonly run: number;
  /** From 1. */
  readonly chunk: number;
  readonly differences: readonly RestatedDifference[];
  /** What is mended beside the windows; their own sums move with them. */
  readonly rollups: readonly RollupDifference[];
  readonly cause: RunCause;
  /** Why, in the words of who decided it. */
  readonly note: string | undefined;
  readonly ranges: readonly ReplayRange[];
  /** Where the minutes asked for begin; undefined: at the first. */
  readonly fromMs: number | undefined;
}

/** What became of a step of a run: a portion of restatements, or its settling. */
export type RunStepOutcome =
  /** Now, or in an earlier try whose answer was lost. */
  | { readonly kind: 'done' }
  /** Another run has begun. */
  | { readonly kind: 'fenced'; readonly found: string };
