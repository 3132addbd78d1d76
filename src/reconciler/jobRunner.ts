/**
 * Runs reconciles one at a time, and keeps how far they are. A run is a row in the ledger, so that it can be asked for
 * when the process was started again; while it runs here, its newest figures come from memory.
 */

import type { RollupDifference, WindowDifference } from '../domain/difference.ts';
import { errorText } from '../domain/errorText.ts';
import { insist } from '../domain/insist.ts';
import type {
  Job,
  JobDifference,
  JobEnd,
  JobProgress,
  JobRequest,
  JobStarter,
  OpenJob,
} from '../domain/reconcileJob.ts';
import { UndecidedError } from '../domain/replayRange.ts';
import { StreamGapError } from '../domain/streamMessage.ts';
import type { Timers } from '../domain/timers.ts';
import { JOB_DIFFERENCES_MAX } from './auditLimits.ts';
import type { JobLedger, Log } from './auditPorts.ts';
import { ROLLUPS_LOGGED_MAX, reportJob, rollupFacts } from './jobReport.ts';
import type { Reconciled, ReconcileWatcher } from './reconcile.ts';

const PROGRESS_EVERY_MS = 1_000;
const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 2_000;
const TRIES_MAX = 9;

export interface JobParts {
  readonly ledger: JobLedger;
  /** @param stop ends it; it is also given, with the reason, where the run cannot go on */
  readonly run: (
    request: JobRequest,
    watcher: ReconcileWatcher,
    stop: AbortController,
  ) => Promise<Reconciled>;
  readonly metrics: JobMetrics;
  readonly log: Log;
  readonly timers: Timers;
  /** Milliseconds, from any moment on. */
  readonly nowMs: () => number;
}

/** What is told to whoever watches the process. */
export interface JobMetrics {
  replayed(records: number): void;
  ended(end: JobEnd, durationMs: number): void;
}

export type JobStart =
  | { readonly kind: 'started'; readonly id: number }
  /** undefined: it begins or ends at this very moment. */
  | { readonly kind: 'busy'; readonly running: number | undefined };

/** A run was asked to end. */
class JobStop extends Error {
  readonly state: 'CANCELLED' | 'INTERRUPTED';

  constructor(state: 'CANCELLED' | 'INTERRUPTED', message: string) {
    super(message);
    this.state = state;
  }
}

interface RunningJob {
  readonly open: OpenJob;
  readonly stop: AbortController;
  readonly progress: Progress;
  /** It is over, and its end is being written down. */
  isEnding: boolean;
  /** When it has ended and its row says so. */
  readonly ended: Promise<void>;
}

export class JobRunner {
  readonly #parts: JobParts;
  #running: RunningJob | undefined;
  #beginning = false;
  #draining = false;

  constructor(parts: JobParts) {
    this.#parts = parts;
  }

  async start(startedBy: JobStarter, request: JobRequest): Promise<JobStart> {
    // Whoever saw that one has ended may begin the next.
    if (this.#running?.isEnding) await this.#running.ended;
    if (this.#running !== undefined || this.#beginning || this.#draining)
      return { kind: 'busy', running: this.#running?.open.id };
    this.#beginning = true;
    try {
      const begin = await this.#parts.ledger.begin(startedBy, request);
      if (begin.kind === 'busy') return begin;
      this.#run(begin.job, request);
      return { kind: 'started', id: begin.job.id };
    } finally {
      this.#beginning = false;
    }
  }

  /** The run of this number, or the newest; undefined: there is none. */
  async read(id: number | undefined): Promise<Job | undefined> {
    const { ledger } = this.#parts;
    const job = await ledger.read(id);
    if (job === undefined || job.state !== 'RUNNING') return job;
    const running = this.#running;
    if (running?.open.id === job.id) return { ...job, ...running.progress.now() };
    await ledger.interruptDead();
    return ledger.read(job.id);
  }

  /** Ends the run, and returns when it has ended. False: it does not run here. */
  async cancel(id: number): Promise<boolean> {
    const running = this.#running;
    if (running === undefined || running.open.id !== id) return false;
    running.stop.abort(new JobStop('CANCELLED', 'cancelled; what was restated stays'));
    await running.ended;
    return true;
  }

  /** Returns when the run of this number has ended, or at once where it does not run here. */
  async ended(id: number): Promise<void> {
    if (this.#running?.open.id === id) await this.#running.ended;
  }

  /** No more runs; the one under way ends now. */
  async drain(): Promise<void> {
    this.#draining = true;
    const running = this.#running;
    running?.stop.abort(
      new JobStop('INTERRUPTED', 'the reconciler was stopped: start it again, nothing is restated twice'),
    );
    await running?.ended;
  }

  #run(open: OpenJob, request: JobRequest): void {
    const stop = new AbortController();
    const progress = new Progress((records) => this.#parts.metrics.replayed(records), this.#parts.log);
    const ended = this.#work(open, request, progress, stop).finally(() => {
      this.#running = undefined;
    });
    this.#running = { open, stop, progress, isEnding: false, ended };
  }

  async #work(open: OpenJob, request: JobRequest, progress: Progress, stop: AbortController): Promise<void> {
    const { run, metrics, log, nowMs } = this.#parts;
    const startMs = nowMs();
    const over = new AbortController();
    const lost = () => stop.abort(new Error(`the hold on run ${open.id} is lost: ${open.lost.reason}`));
    open.lost.addEventListener('abort', lost);
    const telling = this.#tell(open, progress, stop, over.signal);
    const end = await run(request, progress, stop).then(
      (result): JobEnd => ({ state: 'DONE', result }),
      (error: unknown) => failure(error, stop.signal, log),
    );
    over.abort();
    await telling;
    if (this.#running !== undefined) this.#running.isEnding = true;
    metrics.ended(end, nowMs() - startMs);
    reportJob(open.id, request, end, progress.now(), log);
    await this.#close(open, end, progress);
  }

  /** Writes down how far it is, until it is over. */
  async #tell(open: OpenJob, progress: Progress, stop: AbortController, over: AbortSignal): Promise<void> {
    for (;;) {
      await this.#parts.timers.pause(PROGRESS_EVERY_MS, over);
      if (over.aborted) return;
      try {
        await open.progress(progress.now());
      } catch (error) {
        stop.abort(error);
        return;
      }
    }
  }

  /** Where its end cannot be written, the next run says that it was interrupted. */
  async #close(open: OpenJob, end: JobEnd, progress: Progress): Promise<void> {
    try {
      await insist(() => open.end(end, progress.now()), {
        timers: this.#parts.timers,
        pauseFirstMs: RETRY_PAUSE_FIRST_MS,
        pauseMaxMs: RETRY_PAUSE_MAX_MS,
        triesMax: TRIES_MAX,
        check: () => undefined,
        onFailure: (error) => {
          if (this.#draining) throw error;
        },
      });
    } catch (error) {
      this.#parts.log.error({ job: open.id, err: error }, 'the end of a reconcile could not be written down');
    } finally {
      await open.close();
    }
  }
}

function failure(error: unknown, stop: AbortSignal, log: Log): JobEnd {
  // What it was stopped for says more than how it ended.
  const why: unknown = stop.aborted ? stop.reason : error;
  if (why instanceof JobStop) return { state: why.state, problem: why.message };
  if (!(why instanceof UndecidedError || why instanceof StreamGapError))
    log.error({ err: why }, 'a reconcile failed');
  return { state: 'FAILED', problem: errorText(why) };
}

/** Hears how far a run is. */
class Progress implements ReconcileWatcher {
  readonly #onReplayed: (records: number) => void;
  readonly #log: Log;
  readonly #differences: JobDifference[] = [];
  #records = 0;
  #expected = 0;
  #rollups = 0;

  constructor(onReplayed: (records: number) => void, log: Log) {
    this.#onReplayed = onReplayed;
    this.#log = log;
  }

  now(): JobProgress {
    return { records: this.#records, recordsExpected: this.#expected, differences: this.#differences };
  }

  begins(_shards: number, records: number): void {
    this.#expected = records;
  }

  onRecords(records: number): void {
    this.#records += records;
    this.#onReplayed(records);
  }

  allRead(): void {
    // Comparing is short.
  }

  shardDiffers(difference: object): void {
    this.#log.error(difference, "a shard's own sums differ from its stream");
  }

  windowDiffers(difference: WindowDifference, restated: boolean): void {
    if (this.#differences.length >= JOB_DIFFERENCES_MAX) return;
    this.#differences.push({ ...difference, restated });
  }

  rollupDiffers(difference: RollupDifference, restated: boolean): void {
    this.#rollups += 1;
    if (this.#rollups <= ROLLUPS_LOGGED_MAX && !difference.needsLongerReplay)
      this.#log.error(rollupFacts(difference, restated), 'a rollup differs from what it must be');
  }

  adDiffers(): void {
    // Nobody asks the process to judge clicks again.
  }

  troubled(error: unknown): void {
    this.#log.warn({ err: error }, 'a reconcile waits');
  }
}
