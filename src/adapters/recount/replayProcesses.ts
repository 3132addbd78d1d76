/**
 * Shards replayed by processes of their own, one for each processor: judging and folding take most of a replay's time,
 * and a process has one thread. Each has its own connection to the broker; what it has recounted comes back.
 */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Subprocess } from 'bun';
import type { ReplayedShard, Replayers, ReplayHooks, ReplayOrder } from '../../domain/replayers.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import { StreamGapError } from '../../domain/streamMessage.ts';
import type { FromReplayer, ReplayFailure, ToReplayer } from './replayMessages.ts';

const FILE = path.resolve(import.meta.dirname, '../../reconciler/replayer/main.ts');
/** Each has the identities of a part of a shard in memory (I14). */
const PROCESSES_MAX = 8;
export const REPLAY_PROCESSES = Math.min(PROCESSES_MAX, availableParallelism());

export class ReplayProcesses implements Replayers {
  readonly lanes = REPLAY_PROCESSES;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #routingSequence: () => number;
  readonly #troubled: (error: unknown) => void;
  readonly #idle: ReplayProcess[] = [];
  readonly #all = new Set<ReplayProcess>();

  /** @param environment names the broker and the archive */
  constructor(
    environment: Readonly<Record<string, string | undefined>>,
    routingSequence: () => number,
    troubled: (error: unknown) => void,
  ) {
    this.#environment = environment;
    this.#routingSequence = routingSequence;
    this.#troubled = troubled;
  }

  async replay(order: ReplayOrder, hooks: ReplayHooks): Promise<ReplayedShard> {
    const process = this.#idle.pop() ?? this.#begin();
    const replayed = await process.replay(
      { kind: 'replay', order, routingSequence: this.#routingSequence() },
      hooks,
    );
    this.#idle.push(process);
    return replayed;
  }

  /** Ends all of them, whatever they do. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((process) => process.end()));
  }

  #begin(): ReplayProcess {
    const process = new ReplayProcess(this.#environment, this.#troubled);
    this.#all.add(process);
    return process;
  }
}

interface Work {
  readonly message: ToReplayer;
  readonly hooks: ReplayHooks;
  readonly done: (replayed: ReplayedShard) => void;
  readonly failed: (error: unknown) => void;
}

class ReplayProcess {
  readonly #child: Subprocess;
  readonly #troubled: (error: unknown) => void;
  #isReady = false;
  #ended: Error | undefined;
  #work: Work | undefined;

  constructor(environment: Readonly<Record<string, string | undefined>>, troubled: (error: unknown) => void) {
    this.#troubled = troubled;
    this.#child = Bun.spawn([process.execPath, FILE], {
      env: environment,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'inherit',
      serialization: 'advanced',
      ipc: (message: FromReplayer) => this.#hear(message),
      onExit: (_child, code, signal) => {
        this.#ended = new Error(`a replaying process ended with ${signal ?? `exit code ${code}`}`);
        this.#work?.failed(this.#ended);
      },
    });
  }

  replay(message: ToReplayer, hooks: ReplayHooks): Promise<ReplayedShard> {
    const { stop } = hooks;
    const ended = new Promise<ReplayedShard>((done, failed) => {
      this.#work = { message, hooks, done, failed };
      stop.addEventListener('abort', this.#stopped);
      if (this.#ended !== undefined) failed(this.#ended);
      else if (this.#isReady) this.#tell(message);
    });
    return ended.finally(() => {
      this.#work = undefined;
      stop.removeEventListener('abort', this.#stopped);
    });
  }

  /** Its files have no names any more, so nothing of it is left. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#child.exited;
  }

  readonly #stopped = () => {
    this.#work?.failed(this.#work.hooks.stop.reason);
    void this.end();
  };

  #hear(message: FromReplayer): void {
    const work = this.#work;
    if (work === undefined) return;
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#tell(work.message);
        break;
      case 'recounted':
        work.hooks.add(message.portion).then(
          () => this.#tell({ kind: 'stored' }),
          (error: unknown) => work.failed(error),
        );
        break;
      case 'records':
        work.hooks.onRecords(message.records);
        break;
      case 'troubled':
        this.#troubled(new Error(message.message));
        break;
      case 'done':
        work.done(message.replayed);
        break;
      case 'failed':
        work.failed(failureOf(message.why));
        break;
    }
  }

  #tell(message: ToReplayer): void {
    // Where it has ended, whoever waits for it has heard so.
    if (this.#ended === undefined) this.#child.send(message);
  }
}

function failureOf({ name, message }: ReplayFailure): Error {
  if (name === 'UndecidedError') return new UndecidedError(message);
  if (name === 'StreamGapError') return new StreamGapError(message);
  return new Error(message);
}
