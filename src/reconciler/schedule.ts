/**
 * The reconcile that nobody asks for: every so often it compares what is not settled yet, settles what is equal, and
 * reports what is not. It changes no count.
 */
import type { Timers } from '../domain/timers.ts';
import type { Log } from './auditPorts.ts';
import type { JobRunner } from './jobRunner.ts';

/** The first one comes soon after the start, when clicks that waited are counted. */
const FIRST_AFTER_MS = 60_000;
/** Of the interval: so that installations that were started together do not work at the same moments. */
const JITTER = 0.1;

export interface ScheduleParts {
  readonly everyMs: number;
  readonly runner: Pick<JobRunner, 'start' | 'ended'>;
  /** Minutes before this moment are settled, milliseconds since the Unix epoch; 0: none yet. */
  readonly settledThroughMs: () => Promise<number>;
  readonly onSettledThrough: (ms: number) => void;
  /** From 0 to below 1. */
  readonly lot: () => number;
  readonly timers: Timers;
  readonly log: Log;
}

/** Runs until `stop`. */
export async function runSchedule(parts: ScheduleParts, stop: AbortSignal): Promise<void> {
  const { everyMs, timers, lot, log } = parts;
  for (let pauseMs = Math.min(FIRST_AFTER_MS, everyMs); ; pauseMs = everyMs) {
    await timers.pause(pauseMs * (1 + JITTER * lot()), stop);
    if (stop.aborted) return;
    try {
      await runOnce(parts);
    } catch (error) {
      log.error({ err: error }, 'the scheduled reconcile could not begin');
    }
  }
}

async function runOnce({ runner, settledThroughMs, onSettledThrough, log }: ScheduleParts): Promise<void> {
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
