/** The runner of reconciles, and the schedule that asks it: states, words in the log, what watchers are told. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import type {
  Job,
  JobBegin,
  JobEnd,
  JobProgress,
  JobRequest,
  JobStarter,
} from '../../src/domain/reconcileJob.ts';
import { repeat } from '../../src/domain/repeat.ts';
import { UndecidedError } from '../../src/domain/replayRange.ts';
import { type JobParts, JobRunner, type JobStart } from '../../src/reconciler/jobRunner.ts';
import { runScheduled } from '../../src/reconciler/schedule.ts';
import { SilentLog } from '../support/silentLog.ts';

const REQUEST: JobRequest = {
  selection: { fromMs: undefined, toMs: undefined, adIds: undefined },
  apply: false,
  settle: true,
  note: '',
};
const EQUAL = {
  run: undefined,
  shards: 1,
  records: 3,
  windows: 2,
  differing: 0,
  restated: 0,
  undecided: 0,
  late: 0,
  shardsDiffering: 0,
  rollups: 0,
  rollupsDiffering: 0,
  rollupsRestated: 0,
  rollupsUndecided: 0,
  settledThroughMs: undefined,
};
const totals = (valid: bigint) => ({
  valid,
  repeat: 0n,
  givt: 0n,
  sivt: 0n,
  defective: 0n,
  test: 0n,
  fingerprintHigh: 1n,
  fingerprintLow: 1n,
});

/** Rows in memory; what a run has lost can be said to it. */
class MemoryJobs {
  readonly rows: { request: JobRequest; end: JobEnd | undefined; progress: JobProgress | undefined }[] = [];
  lost = new AbortController();
  closed = 0;
  endFails = 0;

  async begin(_startedBy: Job['startedBy'], request: JobRequest): Promise<JobBegin> {
    const row: (typeof this.rows)[number] = { request, end: undefined, progress: undefined };
    this.rows.push(row);
    this.lost = new AbortController();
    const job = {
      id: this.rows.length,
      lost: this.lost.signal,
      progress: async (progress: JobProgress) => {
        row.progress = progress;
      },
      end: async (end: JobEnd) => {
        if (this.endFails-- > 0) throw new Error('the database is away');
        row.end = end;
      },
      close: async () => {
        this.closed += 1;
      },
    };
    return { kind: 'begun', job };
  }

  async read(): Promise<undefined> {
    return undefined;
  }

  async interruptDead(): Promise<void> {}
}

function runnerOf(run: JobParts['run']) {
  const jobs = new MemoryJobs();
  const log = new SilentLog();
  const ends: JobEnd['state'][] = [];
  const runner = new JobRunner({
    ledger: jobs,
    run,
    metrics: { replayed: () => undefined, ended: ({ state }) => void ends.push(state) },
    log,
    timers: systemTimers,
    nowMs: () => 0,
  });
  return { jobs, log, runner, ends };
}

/** A run that goes on until it is stopped. */
const endless: JobParts['run'] = (_request, _watcher, stop) =>
  new Promise((_resolve, reject) =>
    stop.signal.addEventListener('abort', () => reject(new Error('the socket broke'))),
  );

describe('a run', () => {
  test('that finds nothing says so in one line', async () => {
    const { jobs, log, runner, ends } = runnerOf(async () => EQUAL);
    expect(await runner.start('API', REQUEST)).toEqual({ kind: 'started', id: 1 });
    await runner.ended(1);
    expect(jobs.rows[0]?.end).toEqual({ state: 'DONE', result: EQUAL });
    expect(log.lines.map(({ level, message }) => [level, message])).toEqual([['info', 'reconciled: equal']]);
    expect([ends, jobs.closed]).toEqual([['DONE'], 1]);
  });

  test('that finds differences names ad, minute, before and after as errors', async () => {
    const { log, runner } = runnerOf(async (_request, watcher) => {
      for (let number = 0; number < 30; number++)
        watcher.windowDiffers(
          {
            adId: `ad-${number}`,
            minute: 60_000,
            before: totals(2n),
            after: totals(1n),
            late: 0,
            needsLongerReplay: false,
          },
          false,
        );
      return { ...EQUAL, differing: 30 };
    });
    await runner.start('SCHEDULE', REQUEST);
    await runner.ended(1);
    expect(log.lines).toHaveLength(21);
    expect(log.lines.every(({ level }) => level === 'error')).toBe(true);
    expect(log.lines[0]?.facts).toMatchObject({
      adId: 'ad-0',
      minute: '1970-01-01T00:01:00.000Z',
      before: { valid: '2' },
      after: { valid: '1' },
    });
    expect(log.lines.at(-1)).toMatchObject({
      message: 'reconciled: there are differences',
      facts: { differing: 30 },
    });
  });

  test('that cannot see what a longer one has taken out warns, and raises no alarm', async () => {
    const { log, runner } = runnerOf(async (_request, watcher) => {
      const window = { adId: 'ad', minute: 0, before: totals(1n), after: totals(2n), late: 0 };
      watcher.windowDiffers({ ...window, needsLongerReplay: true }, false);
      return { ...EQUAL, differing: 1, undecided: 1 };
    });
    await runner.start('SCHEDULE', REQUEST);
    await runner.ended(1);
    expect(log.lines.map(({ level }) => level)).toEqual(['warn']);
  });

  test('that cannot decide has failed with the reason', async () => {
    const { jobs, log, runner } = runnerOf(async () => {
      throw new UndecidedError('the stream of shard 0 begins at sequence 7');
    });
    await runner.start('API', REQUEST);
    await runner.ended(1);
    expect(jobs.rows[0]?.end).toEqual({
      state: 'FAILED',
      problem: 'the stream of shard 0 begins at sequence 7',
    });
    expect(log.lines).toMatchObject([{ level: 'error', message: 'a reconcile came to no answer' }]);
  });

  test('that is cancelled, and one whose process goes down, say that and not how they broke', async () => {
    const { jobs, runner } = runnerOf(endless);
    await runner.start('API', REQUEST);
    expect(await runner.start('API', REQUEST)).toEqual({ kind: 'busy', running: 1 });
    expect(await runner.cancel(2)).toBe(false);
    expect(await runner.cancel(1)).toBe(true);
    expect(jobs.rows[0]?.end).toMatchObject({ state: 'CANCELLED' });
    await runner.start('API', REQUEST);
    await runner.drain();
    expect(jobs.rows[1]?.end).toMatchObject({
      state: 'INTERRUPTED',
      problem: expect.stringContaining('stopped'),
    });
    expect(await runner.start('API', REQUEST)).toEqual({ kind: 'busy', running: undefined });
    expect(jobs.closed).toBe(2);
  });

  test('whose hold is lost ends, because another one may have begun', async () => {
    const { jobs, runner } = runnerOf(endless);
    await runner.start('API', REQUEST);
    jobs.lost.abort(new Error('terminated'));
    await runner.ended(1);
    expect(jobs.rows[0]?.end).toMatchObject({
      state: 'FAILED',
      problem: expect.stringContaining('hold on run 1 is lost'),
    });
  });

  test('writes its end down again where the database was away', async () => {
    const { jobs, runner } = runnerOf(async () => EQUAL);
    jobs.endFails = 2;
    await runner.start('API', REQUEST);
    await runner.ended(1);
    expect(jobs.rows[0]?.end).toMatchObject({ state: 'DONE' });
  });
});

describe('the schedule', () => {
  test('asks for what is not settled, again and again, and outlasts an error', async () => {
    const asked: (number | undefined)[] = [];
    const settled = [0, 60_000, 60_000, new Error('away'), 120_000];
    const told: number[] = [];
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const log = new SilentLog();
    const pauses: number[] = [];
    const scheduled = {
      runner: {
        start: async (
          _startedBy: JobStarter,
          { selection, apply, settle }: JobRequest,
        ): Promise<JobStart> => {
          expect([apply, settle, selection.toMs, selection.adIds]).toEqual([
            false,
            true,
            undefined,
            undefined,
          ]);
          asked.push(selection.fromMs);
          return { kind: 'started', id: asked.length };
        },
        ended: async () => undefined,
      },
      settledThroughMs: async () => {
        const next = settled.shift();
        if (next === undefined) stop.abort();
        if (next instanceof Error) throw next;
        return next ?? 120_000;
      },
      onSettledThrough: (ms: number) => void told.push(ms),
      log,
    };
    const repetition = {
      everyMs: 100_000,
      lot: () => 0.5,
      timers: { ...systemTimers, pause: async (ms: number) => void pauses.push(ms) },
      onFailure: (err: unknown) => log.error({ err }, 'could not begin'),
    };
    await repeat(() => runScheduled(scheduled), repetition, stop.signal);
    expect(asked).toEqual([undefined, 60_000, 120_000]);
    expect(told).toEqual([0, 60_000, 60_000, 120_000, 120_000]);
    expect(log.lines).toMatchObject([{ level: 'error', message: 'could not begin' }]);
    // The first one soon, each a little later than it would be.
    expect(pauses.slice(0, 2)).toEqual([63_000, 105_000]);
  });

  test('leaves one out while another runs', async () => {
    const log = new SilentLog();
    await runScheduled({
      runner: {
        start: async () => ({ kind: 'busy', running: 4 }),
        ended: () => Promise.reject(new Error('it is not ours')),
      },
      settledThroughMs: async () => 0,
      onSettledThrough: () => undefined,
      log,
    });
    expect(log.lines).toMatchObject([{ level: 'info', facts: { running: 4 } }]);
  });
});
