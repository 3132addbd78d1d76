/**
 * `clickledger test`: format and lint, types, tests, as CI runs them. Every step runs though an earlier one failed,
 * and the last line counts, for people and machines: `N passed, N failed, N skipped`. A step that failed counts
 * as one failure; so does a run in which no test ran, and an error outside any test.
 *
 * `clickledger test --fault` runs only the fault tests, in their long form, and ends with their table.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { FAULT_LENGTH_VARIABLE } from '../faultLength.ts';
import { tiedCommand } from '../stack/privileges.ts';
import { bunCommand, PROJECT_DIRECTORY } from '../stack/tools.ts';
import { isTty, print, styled } from '../terminal.ts';
import { type Counts, countTests, type VitestReport } from '../vitestReport.ts';

const BUN_ON_BUN = ['--bun'];
const FAULT_TESTS = 'test/fault';
const PAGE = 'src/query/web/page';

interface TestOptions {
  readonly fault?: boolean;
}

export function testCommand(): Command {
  return new Command('test')
    .description('check format, lint and types, and run the tests')
    .option(
      '--fault',
      'only the fault tests, in their long form: outages of 20 s, a backlog of a million clicks',
    )
    .argument('[vitest...]', 'handed on to Vitest: files, -t <name> and other options')
    .passThroughOptions()
    .allowUnknownOption()
    .action(runTest);
}

async function runTest(vitestArguments: readonly string[], { fault = false }: TestOptions): Promise<void> {
  const checks = fault ? [] : await runChecks();
  const tests = fault
    ? await runVitest([FAULT_TESTS, ...vitestArguments], { [FAULT_LENGTH_VARIABLE]: 'long' })
    : await runVitest(vitestArguments);
  const failed = tests.failed + checks.filter((passed) => !passed).length;
  print(`${tests.passed} passed, ${failed} failed, ${tests.skipped} skipped`);
  process.exit(failed === 0 ? 0 : 1);
}

/** Whether each of them passed. */
async function runChecks(): Promise<boolean[]> {
  return [
    await step('format and lint', [
      'node_modules/@biomejs/biome/bin/biome',
      'ci',
      '--error-on-warnings',
      // Its `ci` colours whatever it writes to, unless it is told.
      ...(isTty() ? [] : ['--colors=off']),
      '.',
    ]),
    await step('types', ['node_modules/typescript/bin/tsc', '--noEmit']),
    // What runs in browsers knows other globals.
    await step('types of the page', ['node_modules/typescript/bin/tsc', '--noEmit', '--project', PAGE]),
  ];
}

async function runVitest(
  vitestArguments: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Counts> {
  const directory = await mkdtemp(join(tmpdir(), 'clickledger-report-'));
  try {
    const file = join(directory, 'report.json');
    const command = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...vitestArguments,
    ];
    const passed = await step('tests', command, environment);
    return countTests(await readReport(file), passed);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readReport(file: string): Promise<VitestReport | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as VitestReport;
  } catch {
    // Vitest ended before it wrote all of it: counted as a failure.
    return undefined;
  }
}

/** Runs one step with its output on the terminal. @returns whether it ended with 0. */
async function step(
  name: string,
  [file = '', ...parts]: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  print(styled('bold', `${name} ...`));
  const startedAt = performance.now();
  const [bun = '', ...options] = bunCommand(file);
  const child = Bun.spawn(tiedCommand([bun, ...BUN_ON_BUN, ...options, ...parts], 'TERM'), {
    cwd: PROJECT_DIRECTORY,
    // A log of CI should hold plain text, though the tools take some CI machines for coloured terminals.
    env: {
      ...process.env,
      ...environment,
      ...(isTty() ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }),
    },
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
  });
  const passed = (await child.exited) === 0;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  print(`${name}: ${passed ? styled('green', 'passed') : styled('red', 'FAILED')} in ${seconds} s`);
  return passed;
}
