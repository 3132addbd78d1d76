/** What a measurement gives: a figure of each round, and the goal that it is held against. Pure. */
import { max, median, min } from 'simple-statistics';

export type Unit = '/s' | 'times' | 'clicks' | '%' | 'ms' | 's' | 'µs' | 'bytes' | 'MB';

/** The least that is right, and what is aimed at. */
export interface Goal {
  readonly sense: 'at least' | 'at most';
  readonly floor: number;
  readonly goal: number;
}

export interface Figure {
  readonly name: string;
  readonly unit: Unit;
  /** One a round, in their order. */
  readonly values: readonly number[];
  readonly goal?: Goal;
}

export type Verdict = 'goal met' | 'floor met' | 'not met';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf({ values }: Pick<Figure, 'values'>): Spread {
  const numbers = [...values];
  return { median: median(numbers), min: min(numbers), max: max(numbers) };
}

/** By the median; undefined where there is no goal. */
export function verdictOf(figure: Figure): Verdict | undefined {
  if (figure.goal === undefined) return undefined;
  const { sense, floor, goal } = figure.goal;
  const value = spreadOf(figure).median;
  const meets = (bound: number) => (sense === 'at least' ? value >= bound : value <= bound);
  if (meets(goal)) return 'goal met';
  return meets(floor) ? 'floor met' : 'not met';
}

/** The ratio of each round by itself: its two sides had the same neighbours on the machine. */
export function ratio(
  name: string,
  values: readonly number[],
  floors: readonly number[],
  goal?: Goal,
): Figure {
  const ratios = values.map((value, round) => value / (floors[round] ?? Number.NaN));
  return { name, unit: 'times', values: ratios, ...(goal && { goal }) };
}

/** µs of processor time a click, by process, a value a round. */
export interface ProcessorTime {
  readonly name: string;
  readonly microseconds: readonly Readonly<Record<string, number>>[];
}

export interface Measured {
  readonly figures: readonly Figure[];
  readonly processor: readonly ProcessorTime[];
}
