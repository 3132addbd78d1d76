/**
 * `clickledger up`: everything on this machine, from the servers to the query service, until Ctrl-C. What runs in
 * which order is in `stack/localStack.ts`; this file is what a person sees of it, and the exit code:
 * 0 drained, 1 something did not end in order, 2 wrong settings or a failed start, 130 interrupted
 * before it was ready, or killed by a second Ctrl-C.
 */
import { Command } from 'commander';
import { readSettings, SETTINGS } from '../../adapters/environment/settings.ts';
import { connectionBudget, type ProcessCounts } from '../../adapters/postgres/connectionBudget.ts';
import { checkConnectionBudget } from '../../adapters/postgres/requirements.ts';
import { archivePlace } from '../archive/installationArchive.ts';
import { demoEdge, runDemo } from '../demo/demo.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { prepareInstallation } from '../prepareInstallation.ts';
import { dataDirectory, Instance } from '../stack/instance.ts';
import { aborted, interrupts } from '../stack/interrupts.ts';
import { LocalStack, type Stopped, servicesFor } from '../stack/localStack.ts';
import { checkPorts, checkSettings, claimSharedPorts, givenSettings } from '../stack/preflight.ts';
import type { SupervisorEvent } from '../stack/supervisor.ts';
import { print, printError, styled } from '../terminal.ts';

const EXIT_FAILED = 1;
const EXIT_INTERRUPTED = 130;
const LABEL_COLUMNS = 12;
/** On one machine; more than its cores help nobody. */
const GATEWAYS_MAX = 64;
const ACTORS_MAX = 64;
/** What people and other programs may have of the local PostgreSQL beside clickledger. */
const OTHER_CONNECTIONS = 50;

export function upCommand(): Command {
  return new Command('up')
    .description('start everything on this machine, until Ctrl-C')
    .option('--gateways <number>', 'how many gateways share the ports', wholeNumberOption(1, GATEWAYS_MAX), 1)
    .option(
      '--actors <number>',
      'how many actors processes share the shards',
      wholeNumberOption(1, ACTORS_MAX),
      1,
    )
    .option('--demo', 'send sample clicks and show how they are counted')
    .addHelpText('after', '\nSettings are environment variables; README.md lists them.')
    .action(runUp);
}

type Environment = Readonly<Record<string, string | undefined>>;

interface UpOptions extends ProcessCounts {
  readonly demo?: boolean;
}

async function runUp(options: UpOptions): Promise<void> {
  checkSettings(process.env);
  const instance = await Instance.open(dataDirectory());
  const stack = new LocalStack(instance, printEvent, {
    connectionsMax: connectionBudget(options) + OTHER_CONNECTIONS,
  });
  const interrupted = interrupts(() => {
    printError(
      'killed at once; what was accepted is on the streams or in a spool and is counted at the next start',
    );
    void stack.kill().finally(() => process.exit(EXIT_INTERRUPTED));
  });
  let ready = false;
  try {
    await checkPorts(process.env);
    if (options.gateways > 1) await claimSharedPorts(process.env);
    const running = start(stack, instance, options, interrupted).then((environment) => {
      ready = true;
      return options.demo ? runDemo(environment, interrupted) : undefined;
    });
    await Promise.race([running, aborted(interrupted)]);
    await aborted(interrupted);
  } catch (error) {
    await stack.drain(() => undefined);
    instance.close();
    throw error;
  }
  const exitCode = ready ? await drain(stack) : await abandonStart(stack);
  instance.close();
  process.exit(exitCode);
}

/** @returns the environment of the services, when all are ready. */
async function start(
  stack: LocalStack,
  instance: Instance,
  options: UpOptions,
  interrupted: AbortSignal,
): Promise<Environment> {
  const urls = await stack.startServers(process.env);
  interrupted.throwIfAborted();
  printServers(urls);
  const environment: Record<string, string> = {
    CLICKLEDGER_SIGNING_KEYS: instance.secrets.signingKeys,
    CLICKLEDGER_USER_KEY_SALT: instance.secrets.userKeySalt,
    CLICKLEDGER_SPOOL_DIR: instance.path('spool'),
    ...givenSettings(process.env),
    CLICKLEDGER_ARCHIVE: archivePlace(process.env, instance.directory),
    ...urls,
    CLICKLEDGER_DATA_DIR: instance.directory,
  };
  const edge = options.demo ? demoEdge(process.env) : {};
  const complete = { ...process.env, ...edge, ...environment };
  const { databaseUrl } = readSettings(complete, ['databaseUrl']);
  await checkConnectionBudget(databaseUrl, options);
  const applied = await prepareInstallation(complete);
  row('migrations', migrationWords(applied));
  interrupted.throwIfAborted();
  const services = servicesFor(options, complete);
  await stack.startServices(complete, services);
  interrupted.throwIfAborted();
  instance.publish(environment);
  row('processes', services.map(({ name }) => name).join(' '));
  printEndpoints(instance, environment);
  print('ready');
  return complete;
}

function migrationWords(applied: readonly string[]): string {
  if (applied.length === 0) return 'up to date';
  return applied.length === 1 ? `applied ${applied[0]}` : `applied ${applied[0]} to ${applied.at(-1)}`;
}

/** Nothing was accepted yet: there is nothing to flush. */
async function abandonStart(stack: LocalStack): Promise<number> {
  print('stopping ...');
  await stack.drain(() => undefined);
  return EXIT_INTERRUPTED;
}

/** @returns the exit code. */
async function drain(stack: LocalStack): Promise<number> {
  print('draining ...');
  let clean = true;
  await stack.drain((together) => {
    const wrongs = together.map(whatWentWrong).filter((wrong) => wrong !== undefined);
    for (const wrong of wrongs) printError(styled('red', wrong));
    if (wrongs.length > 0) clean = false;
    else if (together.some(({ name }) => name.startsWith('actors-')))
      print('drained: all accepted clicks are flushed');
  });
  return clean ? 0 : EXIT_FAILED;
}

/** Why a process that was asked to end did not do so in order; undefined when it did. */
function whatWentWrong({ name, result, boundMs }: Stopped): string | undefined {
  if (result.kind === 'not-running')
    return `${name} was not running; what it had not finished is done at the next start`;
  if (result.killed) return `${name} did not end within ${boundMs / 1000} s: killed (SIGKILL)`;
  // nats-server ends with 1 when it is asked to.
  if (result.how === 'exit 0' || (name === 'nats-server' && result.how === 'exit 1')) return undefined;
  return `${name} did not end in order: ${result.how}`;
}

function printEvent(event: SupervisorEvent): void {
  if (event.kind === 'ready-again') print(`${event.name} ready again`);
  else
    printError(styled('red', `${event.name} exited (${event.how}), restarting in ${event.restartInMs} ms`));
}

function row(label: string, text: string): void {
  print(`${styled('bold', label.padEnd(LABEL_COLUMNS))}${text}`);
}

function printServers(urls: Readonly<Record<string, string>>): void {
  for (const [variable, name] of [
    ['NATS_URL', 'nats'],
    ['REDIS_URL', 'redis'],
    ['DATABASE_URL', 'postgres'],
  ] as const) {
    const url = urls[variable];
    row(name, url === undefined ? `as ${variable} says; none started` : `${new URL(url).host} started`);
  }
}

function printEndpoints(instance: Instance, environment: Readonly<Record<string, string>>): void {
  const value = ({ variable, fallback }: { variable: string; fallback: string | undefined }) =>
    environment[variable] ?? fallback ?? '';
  const given = value(SETTINGS.host);
  const host = given.includes(':') ? `[${given}]` : given;
  row('http', `http://${host}:${value(SETTINGS.httpPort)}`);
  row('ingest', `${host}:${value(SETTINGS.ingestPort)} (gRPC)`);
  row('query', `${host}:${value(SETTINGS.queryPort)} (gRPC)`);
  row('page', `http://${host}:${value(SETTINGS.webPort)}`);
  const metrics = [SETTINGS.reconcilerMetricsPort, SETTINGS.queryMetricsPort].map(value);
  row('metrics', metrics.map((port) => `http://${host}:${port}/metrics`).join(' '));
  row('data', instance.directory);
  row('logs', instance.path('logs'));
}
