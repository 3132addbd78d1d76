/** Runs in PostgreSQL: one at a time in the whole installation, and what a process that died has left is told. */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import { beginJob, interruptDeadJobs, readJob } from '../../../src/adapters/postgres/reconcileJobs.ts';
import type { JobProgress, JobRequest, JobResult, OpenJob } from '../../../src/domain/reconcileJob.ts';
import { type Ledger, MINUTE, openLedger } from './ledger.ts';

const REQUEST: JobRequest = {
  selection: { fromMs: MINUTE, toMs: undefined, adIds: new Set(['shoes', 'hats']) },
  apply: true,
  settle: false,
  note: 'a doubt',
};
const RESULT: JobResult = {
  run: 7,
  shards: 2,
  windows: 30,
  differing: 1,
  restated: 1,
  undecided: 0,
  late: 2,
  shardsDiffering: 0,
  rollups: 0,
  rollupsDiffering: 0,
  rollupsRestated: 0,
  rollupsUndecided: 0,
};
const HUGE = 2n ** 63n - 1n;
const sums = (sum: bigint) => ({
  valid: sum,
  repeat: 0n,
  givt: 0n,
  sivt: 0n,
  defective: 0n,
  test: 0n,
  fingerprintHigh: 0n,
  fingerprintLow: -sum,
});
const PROGRESS: JobProgress = {
  records: 10,
  recordsExpected: 40,
  differences: [
    {
      adId: 'shoes',
      minute: MINUTE,
      before: sums(HUGE),
      after: sums(1n),
      late: 2,
      needsLongerReplay: false,
      restated: true,
    },
  ],
};

let ledger: Ledger;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => ledger.pool.query('truncate reconcile_job restart identity'));

async function begun(pool: Pool = ledger.pool): Promise<OpenJob> {
  const begin = await beginJob(pool, 'API', REQUEST);
  if (begin.kind !== 'begun') throw new Error('another one runs');
  return closedOnce(begin.job);
}

/** Closed with the test, where the test does not do it. */
function closedOnce(job: OpenJob): OpenJob {
  let isClosed = false;
  const close = async () => {
    if (!isClosed) await job.close();
    isClosed = true;
  };
  onTestFinished(close);
  return { ...job, close };
}

/** A process of its own, that can be cut off. */
function otherProcess(): Pool {
  const pool = connectPostgres(ledger.url, 'other', 2, () => undefined);
  // After the runs that are begun with it are closed.
  onTestFinished(() => void pool.end());
  return pool;
}

const cutOff = () =>
  ledger.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'other'`,
  );

describe('a run', () => {
  test('is read as it was asked for, as it goes on and as it ended', async () => {
    expect(await readJob(ledger.pool, undefined)).toBeUndefined();
    const job = await begun();
    expect(await readJob(ledger.pool, job.id)).toMatchObject({
      id: 1,
      startedBy: 'API',
      request: REQUEST,
      state: 'RUNNING',
      records: 0,
      recordsExpected: 0,
      differences: [],
      endedMs: undefined,
      result: undefined,
      problem: '',
    });
    await job.progress(PROGRESS);
    expect(await readJob(ledger.pool, undefined)).toMatchObject({ ...PROGRESS, state: 'RUNNING' });
    await job.end({ state: 'DONE', result: RESULT }, { ...PROGRESS, records: 40 });
    const done = await readJob(ledger.pool, 1);
    expect(done).toMatchObject({ state: 'DONE', result: RESULT, records: 40, problem: '' });
    expect(done?.endedMs).toBeGreaterThanOrEqual(done?.startedMs ?? Infinity);
    expect(await readJob(ledger.pool, 2)).toBeUndefined();
  });

  test('that ended stays as it ended, whoever says something else later', async () => {
    const job = await begun();
    await job.end({ state: 'CANCELLED', problem: 'cancelled' }, PROGRESS);
    await job.end({ state: 'FAILED', problem: 'too late' }, PROGRESS);
    expect(await readJob(ledger.pool, job.id)).toMatchObject({ state: 'CANCELLED', problem: 'cancelled' });
    await expect(job.progress(PROGRESS)).rejects.toThrow('run 1 is not under way any more');
  });

  test('keeps others from beginning one until it lets them, and names itself', async () => {
    const job = await begun();
    const other = otherProcess();
    expect(await beginJob(other, 'SCHEDULE', REQUEST)).toEqual({ kind: 'busy', running: job.id });
    await interruptDeadJobs(other);
    expect(await readJob(other, job.id)).toMatchObject({ state: 'RUNNING' });
    await job.end({ state: 'DONE', result: RESULT }, PROGRESS);
    await job.close();
    expect((await begun(other)).id).toBe(2);
  });

  test('whose process is gone is interrupted, at the next start or the next run', async () => {
    const first = await begun(otherProcess());
    await cutOff();
    await expect.poll(() => first.lost.aborted).toBe(true);
    // The server may take a moment to let the lock go.
    await expect
      .poll(async () => {
        await interruptDeadJobs(ledger.pool);
        return readJob(ledger.pool, first.id);
      })
      .toMatchObject({ state: 'INTERRUPTED', problem: expect.stringContaining('start it again') });
    const second = await begun(otherProcess());
    await cutOff();
    await expect.poll(() => second.lost.aborted).toBe(true);
    const third = await vi.waitFor(() => begun());
    expect((await readJob(ledger.pool, second.id))?.state).toBe('INTERRUPTED');
    expect((await readJob(ledger.pool, third.id))?.state).toBe('RUNNING');
    await expect(second.progress(PROGRESS)).rejects.toThrow();
  });

  test('begins once where many begin at once', async () => {
    const begins = await Promise.all(Array.from({ length: 6 }, () => beginJob(ledger.pool, 'API', REQUEST)));
    const kinds = begins.map(({ kind }) => kind);
    for (const one of begins) if (one.kind === 'begun') await one.job.close();
    expect(kinds.filter((kind) => kind === 'begun')).toHaveLength(1);
  });
});
