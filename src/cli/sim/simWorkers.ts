/** Simulations on all processors: a worker process each, which takes every n-th seed. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { tiedCommand } from '../stack/privileges.ts';
import { bunCommand, PROJECT_DIRECTORY } from '../stack/tools.ts';

const WORKER_FILE = 'test/sim/worker.ts';

/** What a worker says, a line each. */
export type SimReport =
  | { readonly kind: 'progress'; readonly seeds: number; readonly clicks: number; readonly mishaps: number }
  | { readonly kind: 'violations'; readonly seed: number; readonly violations: readonly string[] }
  | { readonly kind: 'trace'; readonly line: string };

/**
 * Runs the seeds from `first` up to `end`, which is not run.
 * @param hear hears everything that the workers say
 * @throws Error where a worker ended before it was done
 */
export async function runSeeds(
  { first, end, trace = false }: { first: number; end: number; trace?: boolean },
  hear: (report: SimReport) => void,
): Promise<void> {
  const workers = Math.max(1, Math.min(navigator.hardwareConcurrency, end - first));
  const running = Array.from({ length: workers }, async (_, index) => {
    const seeds = [first + index, end, workers].map(String);
    const command = [...bunCommand(WORKER_FILE), ...seeds, ...(trace ? ['trace'] : [])];
    const worker = Bun.spawn(tiedCommand(command, 'KILL'), {
      cwd: PROJECT_DIRECTORY,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    for await (const line of createInterface({ input: Readable.fromWeb(worker.stdout) }))
      hear(JSON.parse(line) as SimReport);
    if ((await worker.exited) !== 0) throw new Error('a simulation ended before it was done');
  });
  await Promise.all(running);
}
