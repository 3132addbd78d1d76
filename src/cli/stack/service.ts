/**
 * How `up` starts one of clickledger's own processes (gateway, actors, query, reconciler) and knows that it is ready: by the
 * line with `msg` "ready" in its log. Warnings and whatever it writes to stderr are shown; all of it is in its log.
 */
import { CliError } from '../cliError.ts';
import { printError, styled } from '../terminal.ts';
import { Child } from './child.ts';
import { formatServiceLogLine, parseServiceLogLine, WARN_LEVEL } from './serviceLog.ts';
import type { Launch } from './supervisor.ts';
import { bunCommand, PROJECT_DIRECTORY } from './tools.ts';

export interface ServiceSpec {
  readonly name: string;
  /** The TypeScript file that it runs. */
  readonly file: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
}

const READY_BOUND_MS = 60_000;

/** @returns what a supervisor calls for each start of the service. */
export function serviceLaunch(spec: ServiceSpec): Launch {
  return async (onSpawn) => {
    const ready = Promise.withResolvers<'ready'>();
    const child = new Child({
      name: spec.name,
      command: bunCommand(spec.file),
      workingDirectory: PROJECT_DIRECTORY,
      environment: spec.environment,
      logFile: spec.logFile,
      stopSignal: 'SIGTERM',
      onLine: (line) => {
        if (parseServiceLogLine(line)?.message === 'ready') ready.resolve('ready');
        show(spec.name, line);
      },
    });
    onSpawn(child);
    await untilReady(child, ready.promise);
  };
}

async function untilReady(child: Child, ready: Promise<'ready'>): Promise<void> {
  const timeout = Promise.withResolvers<'late'>();
  const timer = setTimeout(timeout.resolve, READY_BOUND_MS, 'late');
  const outcome = await Promise.race([ready, child.exited, timeout.promise]);
  clearTimeout(timer);
  if (outcome === 'ready') return;
  child.kill();
  const what =
    outcome === 'late'
      ? `was not ready within ${READY_BOUND_MS / 1000} s`
      : `ended while it started (${outcome})`;
  throw new CliError(await child.complaint(what));
}

/** Lines that are no log lines come from Bun itself or a crash: a person should see them. */
function show(name: string, line: string): void {
  const parsed = parseServiceLogLine(line);
  if (parsed === undefined) printError(`${name}: ${line}`);
  else if (parsed.level >= WARN_LEVEL) printError(styled('yellow', formatServiceLogLine(name, parsed)));
}
