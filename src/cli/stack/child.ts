/**
 * One running process of the local stack: how it is started, followed and ended. Restarting is the supervisor's job.
 *
 * - It is detached from the terminal: a Ctrl-C in the terminal reaches the launcher only, which then stops its children
 *   in their order.
 * - Its output goes into its log file. Whoever passes `onLine` sees each line as well.
 * - It ends with the launcher, however that ends (privileges.ts).
 */
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { type Privileges, tiedCommand } from './privileges.ts';

export type OutputName = 'stdout' | 'stderr';

export interface ChildSpec {
  readonly name: string;
  readonly command: readonly string[];
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  readonly privileges?: Privileges;
  readonly onLine?: (line: string, output: OutputName) => void;
}

/** A log that has grown beyond this starts anew when its process is started; one older log is kept. */
const LOG_BYTES_MAX = 50 * 1024 * 1024;
const TAIL_LINES = 15;
const TAIL_BYTES_MAX = 16 * 1024;

export class Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process is gone, with what ended it: `exit 1`, `SIGKILL`. */
  readonly exited: Promise<string>;
  readonly logFile: string;
  /** Where in the log file this process's own lines begin. */
  readonly #logStart: number;
  readonly #process: Bun.Subprocess;
  readonly #stopSignal: ChildSpec['stopSignal'];

  constructor(spec: ChildSpec) {
    const { log, bytes } = openLog(spec.logFile);
    const output = spec.onLine === undefined ? log : 'pipe';
    this.name = spec.name;
    this.logFile = spec.logFile;
    this.#logStart = bytes;
    this.#stopSignal = spec.stopSignal;
    this.#process = Bun.spawn(
      tiedCommand(spec.command, spec.stopSignal === 'SIGINT' ? 'INT' : 'TERM', spec.privileges),
      {
        cwd: spec.workingDirectory,
        env: spec.environment,
        stdin: 'ignore',
        stdout: output,
        stderr: output,
        detached: true,
      },
    );
    this.pid = this.#process.pid;
    this.exited = this.#follow(spec, log);
  }

  async #follow(spec: ChildSpec, log: number): Promise<string> {
    const { onLine } = spec;
    const copy = async (output: OutputName) => {
      const stream = this.#process[output];
      if (onLine === undefined || !(stream instanceof ReadableStream)) return;
      for await (const line of createInterface({ input: Readable.from(stream), crlfDelay: Infinity })) {
        writeSync(log, `${line}\n`);
        onLine(line, output);
      }
    };
    const copied = Promise.all([copy('stdout'), copy('stderr')]);
    await this.#process.exited;
    await copied;
    closeSync(log);
    return this.#process.signalCode?.toString() ?? `exit ${this.#process.exitCode}`;
  }

  /** What to say about a process that did not start: `what` happened, and how its log ends. */
  async complaint(what: string): Promise<string> {
    const text = await readFile(this.logFile)
      .then((bytes) => bytes.subarray(this.#logStart).subarray(-TAIL_BYTES_MAX).toString().trimEnd())
      .catch(() => '');
    const tail = text.split('\n').slice(-TAIL_LINES).join('\n');
    return `${this.name} ${what}. Its log ${this.logFile} ends with:\n${tail || '(nothing)'}`;
  }

  /** Whether it is still there. */
  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Ends it at once, with all processes that it started. */
  kill(): void {
    if (!this.running) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Gone in between: that is what was wanted.
    }
  }

  /** Asks it to end and waits; after `boundMs` it is killed. `how` is as in `exited`. */
  async stop(boundMs: number): Promise<{ readonly how: string; readonly killed: boolean }> {
    if (this.running) this.#process.kill(this.#stopSignal);
    const timeout = Promise.withResolvers<undefined>();
    const timer = setTimeout(timeout.resolve, boundMs);
    const how = await Promise.race([this.exited, timeout.promise]);
    clearTimeout(timer);
    if (how !== undefined) return { how, killed: false };
    this.kill();
    return { how: await this.exited, killed: true };
  }
}

function openLog(path: string): { log: number; bytes: number } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const full = bytes > LOG_BYTES_MAX;
  if (full) renameSync(path, `${path}.1`);
  return { log: openSync(path, 'a', 0o600), bytes: full ? 0 : bytes };
}
