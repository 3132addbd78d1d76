/** The most memory that a process had, with those that it began or alone, as Linux says it. */
import { readdir, readFile, writeFile } from 'node:fs/promises';

const KIB = 1_024;
const LOOK_EVERY_MS = 50;

/** Bytes that the process and those that it began were seen to have together, until `ended`. */
export async function familyPeak(pid: number, ended: Promise<unknown>): Promise<number> {
  let hasEnded = false;
  const end = () => {
    hasEnded = true;
  };
  void ended.then(end, end);
  let peak = 0;
  while (!hasEnded) {
    peak = Math.max(peak, await familyMemory(pid));
    await Bun.sleep(LOOK_EVERY_MS);
  }
  return peak;
}

/** Has Linux begin anew with what `peakMemory` tells. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** Bytes of the process alone, since `forgetPeak`; costs nothing meanwhile. */
export async function peakMemory(pid: number): Promise<number> {
  return field(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmHWM') * KIB;
}

/** Bytes; 0 where it has ended. */
async function familyMemory(pid: number): Promise<number> {
  const entries = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const family = await Promise.all(entries.map((entry) => memoryOf(entry, pid)));
  return family.reduce((sum, bytes) => sum + bytes, 0);
}

async function memoryOf(entry: string, family: number): Promise<number> {
  // A process may end between two looks.
  const status = await readFile(`/proc/${entry}/status`, 'utf8').catch(() => '');
  return Number(entry) === family || field(status, 'PPid') === family ? field(status, 'VmRSS') * KIB : 0;
}

function field(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
}
