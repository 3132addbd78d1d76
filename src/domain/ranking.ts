/** A question for the groups that have most of something. */
import type { DifferingBucket, OwnedCheckpoint } from './aggregates.ts';
import type { Question } from './question.ts';
import type { Settlement } from './settlement.ts';
import type { DispositionCounts } from './windowCounts.ts';

export const COUNTS = [
  'gross_clicks',
  'clicks',
  'repeat_clicks',
  'general_invalid_clicks',
  'sophisticated_invalid_clicks',
  'defective_clicks',
  'test_clicks',
] as const;
/** A count of the contract's Metrics, by its name. */
export type Count = (typeof COUNTS)[number];

/** The dispositions that add up to each. */
export const DISPOSITIONS_OF: Readonly<Record<Count, readonly (keyof DispositionCounts)[]>> = {
  gross_clicks: ['valid', 'repeat', 'givt', 'sivt'],
  clicks: ['valid'],
  repeat_clicks: ['repeat'],
  general_invalid_clicks: ['givt'],
  sophisticated_invalid_clicks: ['sivt'],
  defective_clicks: ['defective'],
  test_clicks: ['test'],
};

export function countOf(counts: DispositionCounts, count: Count): number {
  return DISPOSITIONS_OF[count].reduce((sum, disposition) => sum + counts[disposition], 0);
}

export interface Ranking {
  /** Of width WHOLE, divided by the one dimension that is ranked. */
  readonly question: Question;
  readonly count: Count;
  /** How many at most. */
  readonly most: number;
}

export interface RankedValue extends DispositionCounts {
  /** Of the dimension; empty: not known. */
  readonly value: string;
}

export interface TopAggregates {
  /** From the largest on, equal ones by value; none that has nothing of the count. */
  readonly entries: readonly RankedValue[];
  /** Everything that passes, ranked or not. */
  readonly total: DispositionCounts;
  readonly settlement: Settlement;
  /** The first window of the question's ads that a replay found to differ. */
  readonly differing: DifferingBucket | undefined;
  readonly checkpoints: readonly OwnedCheckpoint[];
}
