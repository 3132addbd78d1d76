/**
 * The reconciler's runs in PostgreSQL. Whoever has a run under way holds an advisory lock on a connection of its own; the
 * server lets it go when that connection is gone. So one runs at a time in the whole installation, and a row that is
 * RUNNING although the lock is free is of a process that died.
 */
import type { Pool } from 'pg';
import type { WindowTotals } from '../../domain/difference.ts';
import type {
  Job,
  JobBegin,
  JobDifference,
  JobEnd,
  JobProgress,
  JobRequest,
  JobResult,
  JobStarter,
  OpenJob,
} from '../../domain/reconcileJob.ts';
import { AdvisoryLock, RUN_LOCK } from './advisoryLock.ts';
import { exactNumber } from './pool.ts';

const RUNNING = `select job from reconcile_job where state = 'RUNNING'`;
const INTERRUPT = `
  update reconcile_job set state = 'INTERRUPTED', ended_at = clock_timestamp(),
    problem = 'the reconciler ended in the middle of it: start it again, nothing is restated twice'
  where state = 'RUNNING'`;
const INTERRUPT_DEAD = `
  ${INTERRUPT} and not exists (
    select from pg_locks where locktype = 'advisory' and (classid, objid, objsubid) = (${RUN_LOCK}, 2) and granted
      and database = (select oid from pg_database where datname = current_database()))`;
const INSERT = `
  insert into reconcile_job (started_by, range_from, range_to, ads, apply, settle, note)
  values ($1, to_timestamp($2::bigint), to_timestamp($3::bigint), $4, $5, $6, $7) returning job`;
const PROGRESS = `
  update reconcile_job set records = $2, records_expected = $3, differences = $4
  where job = $1 and state = 'RUNNING'`;
const END = `
  update reconcile_job set records = $2, records_expected = $3, differences = $4, state = $5, result = $6, problem = $7,
    ended_at = clock_timestamp()
  where job = $1 and state = 'RUNNING'`;
const READ = `
  select *, clock_timestamp() as now from reconcile_job where $1::bigint is null or job = $1 order by job desc limit 1`;

/** Begins a run, if none is under way. What a process that died has left RUNNING is INTERRUPTED then. */
export async function beginJob(pool: Pool, startedBy: JobStarter, request: JobRequest): Promise<JobBegin> {
  const lock = await AdvisoryLock.take(pool, RUN_LOCK);
  if (lock === undefined) {
    const { rows } = await pool.query<{ job: string }>(RUNNING);
    return { kind: 'busy', running: rows[0] && exactNumber(rows[0].job) };
  }
  const { client } = lock;
  const lost = new AbortController();
  client.on('error', (error) => lost.abort(error));
  try {
    await client.query(INTERRUPT);
    const { rows } = await client.query<{ job: string }>(INSERT, [startedBy, ...requestValues(request)]);
    return { kind: 'begun', job: openJob(pool, lock, exactNumber(rows[0]?.job ?? ''), lost.signal) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Says of runs whose process died that they are interrupted. */
export async function interruptDeadJobs(pool: Pool): Promise<void> {
  // Who has a row that is RUNNING took the lock before it.
  await pool.query(INTERRUPT_DEAD);
}

/** The run of this number, or the newest; undefined: there is none. */
export async function readJob(pool: Pool, id: number | undefined): Promise<Job | undefined> {
  const { rows } = await pool.query<Row>(READ, [id]);
  return rows[0] && toJob(rows[0]);
}

function openJob(pool: Pool, lock: AdvisoryLock, id: number, lost: AbortSignal): OpenJob {
  return {
    id,
    lost,
    progress: async (progress) => {
      const { rowCount } = await lock.client.query(PROGRESS, [id, ...progressValues(progress)]);
      if (rowCount === 0) throw new Error(`run ${id} is not under way any more`);
    },
    end: async (end, progress) => {
      // Not over the lock's own connection: that one may be what broke.
      await pool.query(END, [id, ...progressValues(progress), ...endValues(end)]);
    },
    close: () => lock.release(),
  };
}

function requestValues({ selection: { fromMs, toMs, adIds }, apply, settle, note }: JobRequest): unknown[] {
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1_000);
  return [seconds(fromMs), seconds(toMs), adIds && [...adIds], apply, settle, note];
}

function progressValues({ records, recordsExpected, differences }: JobProgress): unknown[] {
  // Sums may be beyond 2^53.
  const text = JSON.stringify(differences, (_name, value) =>
    typeof value === 'bigint' ? `${value}` : value,
  );
  return [records, recordsExpected, text];
}

function endValues(end: JobEnd): unknown[] {
  if (end.state === 'DONE') return ['DONE', JSON.stringify(end.result), ''];
  return [end.state, null, end.problem];
}

interface Row {
  job: string;
  started_by: JobStarter;
  range_from: Date | null;
  range_to: Date | null;
  ads: string[] | null;
  apply: boolean;
  settle: boolean;
  note: string;
  state: Job['state'];
  records: string;
  records_expected: string;
  started_at: Date;
  ended_at: Date | null;
  result: JobResult | null;
  differences: (Omit<JobDifference, 'before' | 'after'> &
    Record<'before' | 'after', Record<string, string>>)[];
  problem: string;
  now: Date;
}

/** Runs of before there were any. */
const NO_ROLLUPS = { rollups: 0, rollupsDiffering: 0, rollupsRestated: 0, rollupsUndecided: 0 };

function toJob(row: Row): Job {
  return {
    id: exactNumber(row.job),
    startedBy: row.started_by,
    request: {
      selection: {
        fromMs: row.range_from?.getTime(),
        toMs: row.range_to?.getTime(),
        adIds: row.ads === null ? undefined : new Set(row.ads),
      },
      apply: row.apply,
      settle: row.settle,
      note: row.note,
    },
    state: row.state,
    records: exactNumber(row.records),
    recordsExpected: exactNumber(row.records_expected),
    differences: row.differences.map((one) => {
      return { ...one, before: readTotals(one.before), after: readTotals(one.after) };
    }),
    startedMs: row.started_at.getTime(),
    endedMs: row.ended_at?.getTime(),
    result: row.result === null ? undefined : { ...NO_ROLLUPS, ...row.result },
    problem: row.problem,
    nowMs: row.now.getTime(),
  };
}

function readTotals(sums: Readonly<Record<string, string>>): WindowTotals {
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, BigInt(sum)])) as WindowTotals;
}
