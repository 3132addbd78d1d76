/**
 * Which process a number means. The kernel gives the number of a process that ended to another one some day; the
 * number together with the time of its start (counted from the machine's start) is never given twice.
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** The machine's start and the process's start in it. Absent where there is no /proc. */
  readonly startedAt: string | null;
}

export function identify(pid: number): ProcessIdentity {
  const start = statOf(pid)?.start;
  return { pid, startedAt: start === undefined ? null : `${bootId()}/${start}` };
}

/** Whether exactly this process still runs. One that ended and waits to be collected by its parent does not. */
export function isRunning({ pid, startedAt }: ProcessIdentity): boolean {
  if (startedAt === null) return exists(pid);
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== 'Z' && `${bootId()}/${stat.start}` === startedAt;
}

function statOf(pid: number): { state: string; start: string } | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The second field is the program's name in brackets, which may contain anything: what follows is counted from
  // the last bracket on. State is the 3rd field, start time the 22nd.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, start] = [fields?.[0], fields?.[19]];
  return state === undefined || start === undefined ? undefined : { state, start };
}

function bootId(): string {
  return read('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user is there, though it may not be signalled.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
