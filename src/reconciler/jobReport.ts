/** What the log says of a run that has ended: one line where all is equal, a line for each of the first differences. */
import type { RollupDifference } from '../domain/difference.ts';
import type { JobDifference, JobEnd, JobProgress, JobRequest } from '../domain/reconcileJob.ts';
import type { Log } from './auditPorts.ts';

const DIFFERENCES_MAX = 20;
export const ROLLUPS_LOGGED_MAX = 20;

export function reportJob(
  job: number,
  { selection, apply, settle }: JobRequest,
  end: JobEnd,
  { records, differences }: JobProgress,
  log: Log,
): void {
  const asked = { job, fromMs: selection.fromMs, toMs: selection.toMs, apply, settle };
  if (end.state !== 'DONE') {
    const facts = { ...asked, problem: end.problem };
    if (end.state === 'FAILED') log.error(facts, 'a reconcile came to no answer');
    else log.info(facts, 'a reconcile was ended');
    return;
  }
  const { shardsDiffering, differing, undecided, rollupsDiffering, rollupsUndecided } = end.result;
  const facts = { ...asked, records, ...end.result };
  const left = undecided + rollupsUndecided;
  if (left > 0) log.warn(facts, 'some windows need a reconcile that begins earlier: nothing is said of them');
  if (differing + rollupsDiffering > left || shardsDiffering > 0) {
    for (const one of differences.filter(isDecided).slice(0, DIFFERENCES_MAX))
      log.error({ job, ...windowFacts(one) }, 'the stored counts differ from the streams');
    log.error(facts, 'reconciled: there are differences');
  } else if (left === 0) {
    log.info(facts, 'reconciled: equal');
  }
}

function isDecided({ needsLongerReplay }: JobDifference): boolean {
  return !needsLongerReplay;
}

function windowFacts({ adId, minute, before, after, late, restated }: JobDifference): object {
  const time = new Date(minute).toISOString();
  return { adId, minute: time, late, restated, before: texts(before), after: texts(after) };
}

/** What the log says of a rollup that differs. */
export function rollupFacts(difference: RollupDifference, restated: boolean): object {
  const { rollup, adId, startMs, kind, value, value2, before, after } = difference;
  const from = new Date(startMs).toISOString();
  return { rollup, adId, from, kind, value, value2, restated, before: texts(before), after: texts(after) };
}

/** Sums as texts: they may be beyond 2^53, and JSON knows no others. */
function texts(sums: Readonly<Record<string, bigint>>): Record<string, string> {
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, `${sum}`]));
}
