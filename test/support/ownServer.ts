/** A server that belongs to one test file: the same as `up` starts, in a folder of its own below the run's folder. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { type ServerDefinition, startServer, startServerOn } from '../../src/cli/stack/server.ts';

export interface OwnServer {
  readonly url: string;
  readonly port: number;
  /** Where its data is. */
  readonly directory: string;
  /** Ends it in order and removes its data. */
  stop(): Promise<void>;
  /** Ends it in order; its data stays. */
  halt(): Promise<void>;
  /** Ends it as a crash does (SIGKILL); its data stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, after `halt` or `kill`, or while it runs (then after an orderly stop). */
  restart(): Promise<void>;
  /** Holds it still (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void;
  resume(): void;
}

const STOP_BOUND_MS = 10_000;

/** Starts what `define` makes of an empty folder and a secret. */
export async function startOwn(
  name: string,
  define: (directory: string, secret: string) => ServerDefinition,
): Promise<OwnServer> {
  const directory = join(inject('testDirectory'), `${name}-${randomBytes(6).toString('hex')}`);
  await mkdir(directory, { mode: 0o711 });
  const data = join(directory, 'data');
  const definition = define(data, randomBytes(16).toString('hex'));
  const place = { logFile: join(directory, 'server.log') };
  let { child, port, url } = await startServer(definition, place);
  return {
    url,
    port,
    directory: data,
    stop: async () => {
      await child.stop(STOP_BOUND_MS);
      await rm(directory, { recursive: true, force: true });
    },
    halt: async () => {
      await child.stop(STOP_BOUND_MS);
    },
    kill: async () => {
      child.kill();
      await child.exited;
    },
    restart: async () => {
      await child.stop(STOP_BOUND_MS);
      ({ child } = await startServerOn(port, definition, place));
    },
    pause: () => process.kill(child.pid, 'SIGSTOP'),
    resume: () => process.kill(child.pid, 'SIGCONT'),
  };
}
