/** Starts `fixtures/launcher.ts` and follows what it says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { tiedCommand } from '../../../src/cli/stack/privileges.ts';
import type { ProcessIdentity } from '../../../src/cli/stack/processIdentity.ts';
import type { SupervisorEvent } from '../../../src/cli/stack/supervisor.ts';
import { bunCommand } from '../../../src/cli/stack/tools.ts';

export interface ServerUrls {
  readonly NATS_URL: string;
  readonly REDIS_URL: string;
  readonly DATABASE_URL: string;
}

export interface LauncherProcess {
  readonly pid: number;
  readonly urls: ServerUrls;
  /** Its children, by name. */
  children(): Promise<Record<string, ProcessIdentity>>;
  /** The next event of a supervisor, as it was reported. */
  nextEvent(): Promise<SupervisorEvent>;
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export async function startLauncher(directory: string): Promise<LauncherProcess> {
  const command = tiedCommand([...bunCommand('test/cli/fixtures/launcher.ts'), directory], 'KILL');
  const launcher = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
  onTestFinished(async () => {
    launcher.kill('SIGKILL');
    await launcher.exited;
  });
  const lines = createInterface({ input: Readable.from(launcher.stdout) })[Symbol.asyncIterator]();
  const nextLine = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the launcher ended (${await launcher.exited})`);
    return JSON.parse(value) as { urls: ServerUrls; event: SupervisorEvent };
  };
  const { urls } = await nextLine();
  return {
    pid: launcher.pid,
    urls,
    children: async () => JSON.parse(await readFile(join(directory, 'processes.json'), 'utf8')),
    nextEvent: async () => (await nextLine()).event,
    end: async (signal) => {
      launcher.kill(signal);
      await launcher.exited;
    },
  };
}
