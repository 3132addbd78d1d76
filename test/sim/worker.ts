/**
 * Runs simulations and says on standard output, a line of JSON each, how far it is and which seeds went wrong. Started
 * by `clickledger sim`, and with a mutation loaded by the tests.
 *
 *   bun test/sim/worker.ts <first seed> <one beyond the last> <step> [trace]
 */
import type { SimReport } from '../../src/cli/sim/simWorkers.ts';
import { simulate } from './simulate.ts';

const PROGRESS_EVERY_SEEDS = 10;

const [first = 1, end = 2, step = 1] = process.argv.slice(2, 5).map(Number);
const say = (report: SimReport) => process.stdout.write(`${JSON.stringify(report)}\n`);
const trace = process.argv[5] === 'trace' ? (line: string) => say({ kind: 'trace', line }) : undefined;

let since = { seeds: 0, clicks: 0, mishaps: 0 };
function sayProgress(): void {
  say({ kind: 'progress', ...since });
  since = { seeds: 0, clicks: 0, mishaps: 0 };
}

for (let seed = first; seed < end; seed += step) {
  const run = await simulate(seed, trace);
  since.seeds += 1;
  since.clicks += run.clicks;
  for (const times of run.acts.values()) since.mishaps += times;
  if (run.violations.length > 0) say({ kind: 'violations', seed, violations: run.violations });
  if (since.seeds === PROGRESS_EVERY_SEEDS) sayProgress();
}
sayProgress();
