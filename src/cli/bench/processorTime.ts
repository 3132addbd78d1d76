/**
 * How much processor time a process and those that it began have taken, as Linux says it: PostgreSQL's backends are
 * children of the server, those that have ended are in its own sums.
 */
import { readdir, readFile } from 'node:fs/promises';

/** Linux tells times in hundredths of a second to everything outside of the kernel. */
const TICKS_A_SECOND = 100;
const MICROSECONDS = 1_000_000;

interface Times {
  readonly pid: number;
  readonly parent: number;
  readonly own: number;
  /** Of children that have ended. */
  readonly ended: number;
}

/** What families of processes take from `begin` on, and this process. */
export class ProcessorMeter {
  readonly #families: ReadonlyMap<string, number>;
  readonly #before: Readonly<Record<string, number>>;

  private constructor(families: ReadonlyMap<string, number>, before: Readonly<Record<string, number>>) {
    this.#families = families;
    this.#before = before;
  }

  /** @param families process ids by name */
  static async begin(families: ReadonlyMap<string, number>): Promise<ProcessorMeter> {
    return new ProcessorMeter(families, await secondsOf(families));
  }

  /** µs a click since `begin`, by name; this process is `client`. */
  async perClick(clicks: number): Promise<Record<string, number>> {
    const after = await secondsOf(this.#families);
    const spent = Object.entries(after).map(([name, seconds]) => [
      name,
      ((seconds - (this.#before[name] ?? 0)) * MICROSECONDS) / clicks,
    ]);
    return Object.fromEntries(spent);
  }
}

async function secondsOf(families: ReadonlyMap<string, number>): Promise<Record<string, number>> {
  const { user, system } = process.cpuUsage();
  const seconds: Record<string, number> = { client: (user + system) / MICROSECONDS };
  const entries = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const all = (await Promise.all(entries.map(timesOf))).filter((times) => times !== undefined);
  for (const [name, pid] of families) {
    const family = all.filter((times) => times.pid === pid || times.parent === pid);
    const ticks = family.reduce((sum, { own, ended }) => sum + own + ended, 0);
    seconds[name] = ticks / TICKS_A_SECOND;
  }
  return seconds;
}

/** undefined: it has ended between two looks. */
async function timesOf(entry: string): Promise<Times | undefined> {
  const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
  // The name in parentheses may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system, endedUser, endedSystem] = [1, 11, 12, 13, 14].map((at) => Number(fields[at]));
  if (parent === undefined || Number.isNaN(parent)) return undefined;
  return {
    pid: Number(entry),
    parent,
    own: (user ?? 0) + (system ?? 0),
    ended: (endedUser ?? 0) + (endedSystem ?? 0),
  };
}
