/** How fast some clicks go through something, and what processor time all processes take for it. */
import type { BenchInstallation } from './benchInstallation.ts';
import { ProcessorMeter } from './processorTime.ts';

export interface TimedRun {
  readonly perSecond: number;
  /** µs a click, by process. */
  readonly processor: Readonly<Record<string, number>>;
}

/** @param work what is to be timed; whatever can be prepared is prepared before */
export async function timedRun(
  installation: BenchInstallation,
  clicks: number,
  work: () => Promise<unknown>,
): Promise<TimedRun> {
  // What the preparation left is not to be cleared away on the clock.
  Bun.gc(true);
  const meter = await ProcessorMeter.begin(await installation.processes());
  const startMs = performance.now();
  await work();
  const perSecond = clicks / ((performance.now() - startMs) / 1_000);
  return { perSecond, processor: await meter.perClick(clicks) };
}
