/** How much memory a process and those that it began have at a time, as Linux says it. */
import { readdir, readFile } from 'node:fs/promises';

const KIB = 1_024;

/** Bytes; 0 where it has ended. */
export async function familyMemory(pid: number): Promise<number> {
  const entries = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const family = await Promise.all(entries.map((entry) => memoryOf(entry, pid)));
  return family.reduce((sum, bytes) => sum + bytes, 0);
}

async function memoryOf(entry: string, family: number): Promise<number> {
  // A process may end between two looks.
  const status = await readFile(`/proc/${entry}/status`, 'utf8').catch(() => '');
  const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return Number(entry) === family || number('PPid') === family ? number('VmRSS') * KIB : 0;
}
