/**
 * What the three servers have in common: a definition says how one is configured and when it answers; `startServer`
 * starts it on a free loopback port and waits for it.
 *
 * A server keeps its port for as long as the launcher lives, so that the URL in its clients stays right when it
 * is started again.
 */
import { CliError } from '../cliError.ts';
import { Child, type ChildSpec } from './child.ts';
import { freePort } from './freePort.ts';

/** A server that can be run with its data in one folder. */
export interface ServerDefinition {
  readonly name: 'nats-server' | 'redis-server' | 'postgres';
  /** Makes its folder and configuration. Safe to call again: data that is there stays. */
  prepare(port: number): Promise<void>;
  /** How to run it once it is prepared. */
  process(port: number): Pick<ChildSpec, 'command' | 'privileges' | 'stopSignal'>;
  url(port: number): string;
  /** Resolves if it serves clients at this moment, rejects if not. */
  probe(port: number): Promise<void>;
}

export interface StartedServer {
  readonly child: Child;
  readonly port: number;
  readonly url: string;
}

export interface ServerPlace {
  readonly logFile: string;
  /** Called with every child as soon as it exists, also one that fails to get ready. */
  readonly onSpawn?: (child: Child) => void;
}

/** A first start makes database files; a start after a crash reads the logs of PostgreSQL, Redis or NATS again. */
const READY_BOUND_MS = 60_000;
const PROBE_INTERVAL_MS = 20;
const PORTS_TRIED_MAX = 5;
const PORT_TAKEN = /address already in use/i;

/** Starts `server` on a free port; tries another one if somebody else takes it in between. */
export async function startServer(server: ServerDefinition, place: ServerPlace): Promise<StartedServer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await startServerOn(await freePort(), server, place);
    } catch (error) {
      const retry = error instanceof PortTakenError && tries < PORTS_TRIED_MAX;
      if (!retry) throw error;
    }
  }
}

class PortTakenError extends CliError {}

/** Starts `server` on `port` and waits until it serves. */
export async function startServerOn(
  port: number,
  server: ServerDefinition,
  place: ServerPlace,
): Promise<StartedServer> {
  await server.prepare(port);
  const child = new Child({
    name: server.name,
    ...server.process(port),
    // PostgreSQL as another user may not be able to stand in the folder of the one who started it.
    workingDirectory: '/',
    environment: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', TZ: 'UTC' },
    logFile: place.logFile,
  });
  place.onSpawn?.(child);
  try {
    await waitUntilServing(child, () => server.probe(port));
  } catch (error) {
    child.kill();
    throw error;
  }
  return { child, port, url: server.url(port) };
}

async function waitUntilServing(child: Child, probe: () => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  let lastError: unknown;
  while (performance.now() - startedAt < READY_BOUND_MS) {
    if (!child.running) await failedStart(child);
    try {
      await probe();
      return;
    } catch (error) {
      lastError = error;
    }
    await Bun.sleep(PROBE_INTERVAL_MS);
  }
  throw new CliError(
    await child.complaint(`did not answer within ${READY_BOUND_MS / 1000} s (${lastError})`),
  );
}

async function failedStart(child: Child): Promise<never> {
  const message = await child.complaint(`ended while it started (${await child.exited})`);
  throw PORT_TAKEN.test(message) ? new PortTakenError(message) : new CliError(message);
}
