/**
 * The reconcile that nobody asks for: every so often it compares what is not settled yet, settles what is equal, and
 * reports what is not. It changes no count.
 */
import type { Log } from './auditPorts.ts';
import type { JobRunner } from './jobRunner.ts';

export interface ScheduleParts {
  readonly runner: Pick<JobRunner, 'start' | 'ended'>;
  /** Minutes before this moment are settled, milliseconds since the Unix epoch; 0: none yet. */
  readonly settledThroughMs: () => Promise<number>;
  readonly onSettledThrough: (ms: number) => void;
  readonly log: Log;
}

/** Returns when it has ended, or another one runs. */
export async function runScheduled({
  runner,
  settledThroughMs,
  onSettledThrough,
  log,
}: ScheduleParts): Promise<void> {
  const fromMs = await settledThroughMs();
  onSettledThrough(fromMs);
  const started = await runner.start('SCHEDULE', {
    // Where nothing is settled yet, all streams are read from their beginning.
    selection: { fromMs: fromMs === 0 ? undefined : fromMs, toMs: undefined, adIds: undefined },
    apply: false,
    settle: true,
    note: '',
  });
  if (started.kind === 'busy') {
    log.info({ running: started.running }, 'the scheduled reconcile is left out: another one runs');
    return;
  }
  await runner.ended(started.id);
  onSettledThrough(await settledThroughMs());
}
