/** What every part of the bench gets to know, and how its contestants take turns. */
import type { Measured } from './figure.ts';

export interface Bench {
  readonly rounds: number;
  /** Of the full numbers of clicks, ads and seconds; 1 is all. */
  readonly scale: number;
  /** Ends it. */
  readonly stop: AbortSignal;
  /** Says what it is at now. */
  progress: (what: string) => void;
  /** Clicks a second counted end to end, once part b has measured it. */
  peakPerSecond?: number;
}

export interface Section {
  /** The letter of its part. */
  readonly letter: string;
  readonly title: string;
  /** What is measured, and how. */
  readonly how: string;
  /** What it does not measure. */
  readonly leavesOut: string;
  readonly measure: (bench: Bench) => Promise<Measured>;
}

/** A whole number of things at this bench's scale. */
export function scaled({ scale }: Bench, full: number, min = 1): number {
  return Math.max(min, Math.round(full * scale));
}

/**
 * A B A B: in each round each contestant once, so that whatever else the machine does meets all alike.
 * @returns what each gave, a value a round
 */
export async function inTurn<Contestants extends Record<string, () => Promise<unknown>>>(
  bench: Bench,
  contestants: Contestants,
): Promise<{ [Name in keyof Contestants]: Awaited<ReturnType<Contestants[Name]>>[] }> {
  const names = Object.keys(contestants);
  const results: Record<string, unknown[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 1; round <= bench.rounds; round += 1) {
    for (const name of names) {
      bench.stop.throwIfAborted();
      bench.progress(`round ${round} of ${bench.rounds}: ${name}`);
      results[name]?.push(await contestants[name]?.());
    }
  }
  return results as Awaited<ReturnType<typeof inTurn<Contestants>>>;
}
