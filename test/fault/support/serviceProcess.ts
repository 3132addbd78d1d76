/**
 * One of clickledger's own processes as a child of the test: killed, paused and started again by its pid, its log in a
 * file. It gets SIGKILL when the test's worker is gone, because a paused one would not hear anything else.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { tiedCommand } from '../../../src/cli/stack/privileges.ts';
import { bunCommand, PROJECT_DIRECTORY } from '../../../src/cli/stack/tools.ts';

const READY_BOUND_MS = 60_000;
const EXIT_BOUND_MS = 60_000;
const POLL_MS = 10;
const READY = /"msg":"ready"/;
const TAIL_LINES = 25;

export interface ServiceSpec {
  readonly name: string;
  readonly file: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
}

export class ServiceProcess {
  readonly name: string;
  readonly #spec: ServiceSpec;
  #process: Bun.Subprocess | undefined;
  /** The test ended it. */
  #isAskedToEnd = false;
  /** Where in the log the lines of the present process begin. */
  #logStart = 0;

  constructor(spec: ServiceSpec) {
    this.name = spec.name;
    this.#spec = spec;
  }

  /** Starts it, and waits until it says that it is ready. `settings` count for this start only. */
  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const log = openSync(this.#spec.logFile, 'a', 0o600);
    this.#logStart = this.#allLog().length;
    this.#process = Bun.spawn(tiedCommand(bunCommand(this.#spec.file), 'KILL'), {
      cwd: PROJECT_DIRECTORY,
      env: { PATH: process.env['PATH'], TZ: 'UTC', ...this.#spec.environment, ...settings },
      stdin: 'ignore',
      stdout: log,
      stderr: log,
    });
    closeSync(log);
    this.#isAskedToEnd = false;
    await this.logged(READY, READY_BOUND_MS);
  }

  get isRunning(): boolean {
    return (
      this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  /** Whether it is gone although no test ended it. */
  get hasEndedUnasked(): boolean {
    return this.#process !== undefined && !this.isRunning && !this.#isAskedToEnd;
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error(`${this.name} was not started`);
    return this.#process.pid;
  }

  /** What the present process has logged. */
  get log(): string {
    return this.#allLog().slice(this.#logStart);
  }

  /** Waits until the present process has logged something like this. */
  async logged(pattern: RegExp, boundMs = READY_BOUND_MS): Promise<void> {
    const deadline = performance.now() + boundMs;
    while (!pattern.test(this.log)) {
      if (!this.isRunning) throw new Error(`${this.name} ended without logging ${pattern}:\n${this.tail()}`);
      if (performance.now() > deadline)
        throw new Error(`${this.name} did not log ${pattern} in ${boundMs} ms:\n${this.tail()}`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    this.#isAskedToEnd = true;
    this.#process?.kill('SIGKILL');
    await this.#process?.exited;
  }

  /** Asks it to end; its exit code. */
  async terminate(): Promise<number> {
    const child = this.#process;
    if (child === undefined) throw new Error(`${this.name} was not started`);
    this.#isAskedToEnd = true;
    child.kill('SIGTERM');
    const code = await Promise.race([child.exited, Bun.sleep(EXIT_BOUND_MS).then(() => undefined)]);
    if (code === undefined) throw new Error(`${this.name} did not end after SIGTERM:\n${this.tail()}`);
    return code;
  }

  /** Holds it still (SIGSTOP), as a long pause of its machine does. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** The last lines of its log, for a failing test's message. */
  tail(): string {
    const lines = this.#allLog().trimEnd().split('\n').slice(-TAIL_LINES);
    return `--- ${this.name} (${this.isRunning ? 'running' : 'ended'}) ---\n${lines.join('\n')}`;
  }

  #allLog(): string {
    return readFileSync(this.#spec.logFile, 'utf8');
  }
}
