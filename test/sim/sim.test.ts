/** The simulator over its seeds; that a run is a function of its seed; and that it sees every way to build it wrong. */
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runSeeds } from '../../src/cli/sim/simWorkers.ts';
import { tiedCommand } from '../../src/cli/stack/privileges.ts';
import { MUTATIONS } from './mutations.ts';
import { simulate } from './simulate.ts';

const SEEDS = 2_000;
const PROJECT = path.resolve(import.meta.dirname, '../..');
/** Only a guard: it takes well below a minute on one quiet processor. */
const BOUND_MS = 900_000;

test(`${SEEDS} seeds come out as the plain count says`, { timeout: BOUND_MS }, async () => {
  const wrong: unknown[] = [];
  let seeds = 0;
  await runSeeds({ first: 1, end: SEEDS + 1 }, (report) => {
    if (report.kind === 'violations') wrong.push(report);
    if (report.kind === 'progress') seeds += report.seeds;
  });
  expect(wrong).toEqual([]);
  expect(seeds).toBe(SEEDS);
});

test('a seed does the same when it is played again', async () => {
  const play = async (seed: number) => {
    const trace: string[] = [];
    const { violations, steps, clicks } = await simulate(seed, (line) => trace.push(line));
    return { trace, violations, steps, clicks };
  };
  const first = [];
  for (let seed = 1; seed <= 20; seed++) first.push(await play(seed));
  for (let seed = 20; seed >= 1; seed--) expect(await play(seed)).toEqual(first[seed - 1]);
  expect(new Set(first.map(({ trace }) => trace.join())).size).toBe(20);
});

describe('the simulator notices', () => {
  test.each(MUTATIONS.map(({ name }) => name))('%s', { timeout: BOUND_MS }, async (name) => {
    expect(await firstViolation(name)).toBeLessThanOrEqual(SEEDS);
  });
});

/** The first seed that goes wrong with a mutation; Infinity where none does. */
async function firstViolation(mutation: string): Promise<number> {
  const command = [
    process.execPath,
    '--preload',
    './test/sim/mutant.ts',
    'test/sim/worker.ts',
    '1',
    `${SEEDS + 1}`,
    '1',
  ];
  const worker = Bun.spawn(tiedCommand(command, 'KILL'), {
    cwd: PROJECT,
    env: { ...process.env, CLICKLEDGER_MUTATION: mutation },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let output = '';
  for await (const text of worker.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    const [, seed] = /"kind":"violations","seed":(\d+)/.exec(output) ?? [];
    if (seed === undefined) continue;
    worker.kill('SIGKILL');
    await worker.exited;
    return Number(seed);
  }
  // A mutation that does not run proves nothing.
  expect(await worker.exited, await new Response(worker.stderr).text()).toBe(0);
  return Infinity;
}
