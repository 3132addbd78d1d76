/** What a run takes away of the differences that it has found (I13). */
import type { WindowDifference } from './difference.ts';
import type { ReplayRange } from './replayRange.ts';

/** Some differences to be taken away, with their restatements, in one transaction (I13). */
export interface RestatementChunk {
  readonly run: number;
  /** From 1. */
  readonly chunk: number;
  readonly differences: readonly WindowDifference[];
  readonly ruleSetVersion: number;
  readonly ranges: readonly ReplayRange[];
  /** Where the minutes asked for begin; undefined: at the first. */
  readonly fromMs: number | undefined;
}

export type RestateOutcome =
  /** Now, or in an earlier try whose answer was lost. */
  | { readonly kind: 'restated' }
  /** Another run has begun. */
  | { readonly kind: 'fenced'; readonly found: string };
