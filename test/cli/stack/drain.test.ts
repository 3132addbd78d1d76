/** clickledger's own processes under the launcher: ready, warned about, restarted, and drained in their order. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Instance } from '../../../src/cli/stack/instance.ts';
import { LocalStack, type ServiceFile, type Stopped } from '../../../src/cli/stack/localStack.ts';
import { identify, isRunning } from '../../../src/cli/stack/processIdentity.ts';
import { serviceLaunch } from '../../../src/cli/stack/service.ts';
import { restartDelayMs, Supervisor, type SupervisorEvent } from '../../../src/cli/stack/supervisor.ts';
import { PROJECT_DIRECTORY } from '../../../src/cli/stack/tools.ts';
import { testFolder } from './testFolder.ts';

const fixture = (name: string) => join(PROJECT_DIRECTORY, `test/cli/fixtures/services/${name}.ts`);
const STUCK_BOUND_MS = 200;

/** A folder's stack of three fixtures in place of gateway, actors and query, started with `environment`. */
async function startServices(environment: Record<string, string> = {}) {
  const instance = await Instance.open(await testFolder());
  const stack = new LocalStack(instance, () => undefined);
  const services: ServiceFile[] = ['gateway', 'actors', 'query'].map((name) => ({
    name,
    file: fixture(name),
    stopBoundMs: environment['FIXTURE_STUCK'] === name ? STUCK_BOUND_MS : 20_000,
  }));
  const stopped: Stopped[] = [];
  return {
    instance,
    started: stack.startServices(environment, services),
    drain: async () => {
      await stack.drain((together) => stopped.push(...together));
      instance.close();
      return stopped.map(({ name, result }) => ({ name, ...result }));
    },
  };
}

const ended = (name: string, how = 'exit 0', killed = false) => ({ name, kind: 'ended', how, killed });

test('services are drained in order: gateway, actors, query', async () => {
  const stack = await startServices();
  await stack.started;
  expect(await stack.drain()).toEqual([ended('gateway'), ended('actors'), ended('query')]);
});

test('a service that fails while it drains is told apart from one that drained', async () => {
  const stack = await startServices({ FIXTURE_FAILS_TO_DRAIN: 'actors' });
  await stack.started;
  expect(await stack.drain()).toEqual([ended('gateway'), ended('actors', 'exit 1'), ended('query')]);
});

test('a service that does not end within its bound is killed, and the next ones are still drained', async () => {
  const stack = await startServices({ FIXTURE_STUCK: 'gateway' });
  await stack.started;
  expect(await stack.drain()).toEqual([ended('gateway', 'SIGKILL', true), ended('actors'), ended('query')]);
});

test('a service that does not start is named, with the end of its log', async () => {
  const stack = await startServices({ FIXTURE_BROKEN: 'actors' });
  await expect(stack.started).rejects.toThrow(/^actors ended while it started \(exit 3\)/);
  await expect(stack.started).rejects.toThrow('cannot start: the fixture is broken');
  await expect(stack.started).rejects.toThrow(stack.instance.path('logs', 'actors.log'));
  await stack.drain();
});

test('a service that crashes is started again, until it is stopped', async () => {
  const events: SupervisorEvent[] = [];
  const readyAgain = Promise.withResolvers<void>();
  const launch = serviceLaunch({
    name: 'actors',
    file: fixture('actors'),
    environment: {},
    logFile: join(await testFolder(), 'actors.log'),
  });
  const supervisor = new Supervisor('actors', launch, (event) => {
    events.push(event);
    if (event.kind === 'ready-again') readyAgain.resolve();
  });
  await supervisor.start();
  const first = identify(supervisor.pid ?? 0);
  process.kill(first.pid, 'SIGKILL');
  await readyAgain.promise;
  expect(isRunning(first)).toBe(false);
  expect(supervisor.pid).not.toBe(first.pid);
  expect(events).toEqual([
    { kind: 'ended', name: 'actors', how: 'SIGKILL', restartInMs: 250 },
    { kind: 'ready-again', name: 'actors' },
  ]);
  expect(await supervisor.stop(20_000)).toEqual({ kind: 'ended', how: 'exit 0', killed: false });
  expect(await supervisor.stop(20_000)).toEqual({ kind: 'not-running' });
  expect(events).toHaveLength(2);
});

test('restarts wait 250 ms at first, then twice as long each time up to 10 s, until one ran well', () => {
  let delayMs: number | undefined;
  const delays: number[] = [];
  for (let tries = 0; tries < 8; tries += 1) {
    delayMs = restartDelayMs(delayMs, 1_000);
    delays.push(delayMs);
  }
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  expect(restartDelayMs(delayMs, 30_000)).toBe(250);
});
