/**
 * Servers, tables and processes of a measurement's own, in a folder that is gone in the end. Unlike under `up`, nothing
 * that ends is started again: a figure of a process that died half way would be worth nothing.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CliError } from '../cliError.ts';
import { prepareInstallation } from '../prepareInstallation.ts';
import type { Child } from '../stack/child.ts';
import { freePort } from '../stack/freePort.ts';
import { Instance } from '../stack/instance.ts';
import { aborted } from '../stack/interrupts.ts';
import { LocalStack, SERVICES } from '../stack/localStack.ts';
import { serviceLaunch } from '../stack/service.ts';
import { printError } from '../terminal.ts';
import type { Bench } from './bench.ts';

type ServiceName = 'gateway' | 'actors' | 'query' | 'reconciler';

export type Environment = Readonly<Record<string, string | undefined>>;

/** At full scale. The end of counting is seen at a flush: with the interval of production it would be up to 10 s late. */
const FLUSH_INTERVAL_MS = 1_000;
/** With less a small scale would measure flushes alone. */
const FLUSH_INTERVAL_MIN_MS = 200;
const PUT_AWAY_MS = 3_000;
const PORTS = [
  'CLICKLEDGER_HTTP_PORT',
  'CLICKLEDGER_INGEST_PORT',
  'CLICKLEDGER_QUERY_PORT',
  'CLICKLEDGER_WEB_PORT',
  'CLICKLEDGER_AUDIT_PORT',
  'CLICKLEDGER_RECONCILER_METRICS_PORT',
  'CLICKLEDGER_QUERY_METRICS_PORT',
] as const;

/**
 * Gives `use` an installation whose servers run; it is gone when this returns.
 * @throws CliError where it is stopped
 */
export async function withInstallation<T>(
  { stop, scale }: Pick<Bench, 'stop' | 'scale'>,
  settings: Readonly<Record<string, string>>,
  use: (installation: BenchInstallation) => Promise<T>,
): Promise<T> {
  stop.throwIfAborted();
  const stopped = aborted(stop).then(() => {
    throw new CliError('stopped');
  });
  const flushIntervalMs = Math.max(FLUSH_INTERVAL_MIN_MS, Math.round(FLUSH_INTERVAL_MS * scale));
  const FLUSH_INTERVAL = `${flushIntervalMs}ms`;
  const installation = await BenchInstallation.start({ FLUSH_INTERVAL, ...settings });
  const using = use(installation);
  try {
    return await Promise.race([using, stopped]);
  } finally {
    await installation.remove();
    // What is stopped in the middle finds no server any more, and puts away what it has itself.
    await Promise.race([using.catch(() => undefined), Bun.sleep(PUT_AWAY_MS)]);
  }
}

export class BenchInstallation {
  /** With which a command or a process reaches it. */
  readonly environment: Environment;
  readonly #instance: Instance;
  readonly #stack: LocalStack;
  readonly #services = new Map<string, Child>();
  /** Minutes before this one have not been used. */
  #minuteMs: number;

  private constructor(instance: Instance, stack: LocalStack, environment: Environment) {
    this.#instance = instance;
    this.#stack = stack;
    this.environment = environment;
    this.#minuteMs = Math.floor(Date.now() / 60_000) * 60_000;
  }

  /** Servers that run, and everything in them that the first process needs. */
  static async start(settings: Readonly<Record<string, string>>): Promise<BenchInstallation> {
    const directory = await mkdtemp(path.join(tmpdir(), 'clickledger-bench-'));
    // PostgreSQL may run as another user, who must be able to pass through.
    await chmod(directory, 0o711);
    const instance = await Instance.open(directory);
    const stack = new LocalStack(instance, (event) => printError(`${event.name}: ${event.kind}`));
    try {
      const urls = await stack.startServers({});
      const environment = {
        ...process.env,
        ...settings,
        ...Object.fromEntries(await Promise.all(PORTS.map(async (name) => [name, `${await freePort()}`]))),
        CLICKLEDGER_DATA_DIR: directory,
        CLICKLEDGER_SPOOL_DIR: instance.path('spool'),
        CLICKLEDGER_ARCHIVE: instance.path('archive'),
        CLICKLEDGER_SIGNING_KEYS: instance.secrets.signingKeys,
        CLICKLEDGER_USER_KEY_SALT: instance.secrets.userKeySalt,
        ...urls,
      };
      await prepareInstallation(environment);
      return new BenchInstallation(instance, stack, environment);
    } catch (error) {
      await new BenchInstallation(instance, stack, {}).remove();
      throw error;
    }
  }

  /** Starts a process and waits until it is ready. @param name tells several of one kind apart */
  async start(service: ServiceName, name: string = service): Promise<void> {
    const file = SERVICES.find((known) => known.name === service)?.file ?? '';
    const environment = { ...this.environment, CLICKLEDGER_NODE: name };
    const logFile = this.#instance.path('logs', `${name}.log`);
    await serviceLaunch({ name, file, environment, logFile })((child) => {
      this.#services.set(name, child);
      this.#instance.recordProcess(child);
    });
  }

  /** Ends a process at once, as by SIGKILL. */
  async kill(name: string): Promise<void> {
    const child = this.#services.get(name);
    this.#services.delete(name);
    child?.kill();
    await child?.exited;
  }

  /** Process ids of all that runs, by name. */
  async processes(): Promise<Map<string, number>> {
    const recorded = await Bun.file(this.#instance.path('processes.json')).json();
    const servers = ['nats-server', 'redis-server', 'postgres'].map(
      (name) => [name, recorded[name].pid] as const,
    );
    return new Map([...[...this.#services].map(([name, { pid }]) => [name, pid] as const), ...servers]);
  }

  /** A minute that no clicks were made in yet, before the present one: its first millisecond. */
  nextMinuteMs(): number {
    this.#minuteMs -= 60_000;
    return this.#minuteMs;
  }

  /** A place in its folder. */
  path(...parts: string[]): string {
    return this.#instance.path(...parts);
  }

  async remove(): Promise<void> {
    const services = [...this.#services.values()];
    for (const child of services) child.kill();
    await Promise.all(services.map(({ exited }) => exited));
    await this.#stack.kill();
    this.#instance.close();
    await rm(this.#instance.directory, { recursive: true, force: true });
  }
}
