/** Questions asked at a steady rate, and how long each answer took. */
import { quantile } from 'simple-statistics';
import { type Figure, type Goal, ratio } from './figure.ts';

const PERCENT = 100;

export interface AskedQuestion {
  readonly perSecond: number;
  readonly ask: () => Promise<{ readonly info: { readonly partial: boolean } | null }>;
  /** The same rows by a bare statement, after each answer: both have the same neighbours. */
  readonly floor?: () => Promise<unknown>;
}

export interface Waits {
  /** Milliseconds, from when its question was due. */
  readonly latencies: readonly number[];
  readonly partial: number;
  /** Milliseconds of the bare statement. */
  readonly floors: readonly number[];
}

/**
 * One question after the other, each with a moment at which it is due: one that waits for the answer before it waits in
 * its own latency. The time of a bare statement is added to when the next one is due.
 */
export async function askSteadily(seconds: number, { perSecond, ask, floor }: AskedQuestion): Promise<Waits> {
  const latencies: number[] = [];
  const floors: number[] = [];
  let partial = 0;
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  for (let dueMs = startMs; dueMs < endMs && performance.now() < endMs; dueMs += 1_000 / perSecond) {
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    const { info } = await ask();
    if (info?.partial) partial += 1;
    const answeredMs = performance.now();
    latencies.push(answeredMs - dueMs);
    if (floor === undefined) continue;
    await floor();
    const floorMs = performance.now() - answeredMs;
    floors.push(floorMs);
    dueMs += floorMs;
  }
  return { latencies, partial, floors };
}

/** @param rounds of one question */
export function figuresOf(name: string, rounds: readonly Waits[], goal?: Goal): Figure[] {
  const at = (share: number) => rounds.map(({ latencies }) => quantile([...latencies], share));
  const p50 = at(0.5);
  const floors = rounds.map(({ floors }) => (floors.length === 0 ? Number.NaN : quantile([...floors], 0.5)));
  const withFloor = [
    { name: `${name}, bare statement, p50`, unit: 'ms', values: floors },
    ratio(`${name}, p50 / bare statement`, p50, floors),
  ] as const;
  return [
    { name: `${name}, p50`, unit: 'ms', values: p50 },
    { name: `${name}, p99`, unit: 'ms', values: at(0.99), ...(goal && { goal }) },
    {
      name: `${name}, partial answers`,
      unit: '%',
      values: rounds.map(({ latencies, partial }) => (PERCENT * partial) / latencies.length),
    },
    ...(floors.some(Number.isNaN) ? [] : withFloor),
  ];
}
