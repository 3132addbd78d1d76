/**
 * Everything that `up` runs: the servers that the environment does not name, and clickledger's own processes; in
 * which order they start and end.
 *
 * Start: servers together, then the services together (each waits for what it needs by itself).
 * Drain: the gateways (nothing more is accepted), the actors (they read all that was accepted and flush it), query and
 * the reconciler that it asks, and only then the servers that they write to. The other order would leave counts unflushed. Nothing would be lost,
 * the stream keeps it (I2), but the next start would have to catch up.
 */
import { SETTINGS } from '../../adapters/environment/settings.ts';
import type { ProcessCounts } from '../../adapters/postgres/connectionBudget.ts';
import type { Instance } from './instance.ts';
import { natsServer } from './natsServer.ts';
import { postgresServer } from './postgresServer.ts';
import { redisServer } from './redisServer.ts';
import { type ServerDefinition, startServer, startServerOn } from './server.ts';
import { serviceLaunch } from './service.ts';
import { type StopResult, Supervisor, type SupervisorEvent } from './supervisor.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type ServiceSettings = Readonly<Record<string, string>>;

export interface ServiceFile {
  readonly name: string;
  readonly file: string;
  /** What is set for this process alone. */
  readonly settings?: ServiceSettings;
  /** How long it may take to end in order. */
  readonly stopBoundMs: number;
}

/** One of each, in the order in which they are drained. */
export const SERVICES: readonly ServiceFile[] = [
  { name: 'gateway', file: 'src/gateway/main.ts', stopBoundMs: 10_000 },
  { name: 'actors', file: 'src/actors/main.ts', stopBoundMs: 30_000 },
  { name: 'query', file: 'src/query/main.ts', stopBoundMs: 10_000 },
  { name: 'reconciler', file: 'src/reconciler/main.ts', stopBoundMs: 10_000 },
];
const SERVER_STOP_BOUND_MS = 10_000;

/** So many of each: `gateway-1`, `gateway-2`, `actors-1` and so on. */
export function servicesFor({ gateways, actors }: ProcessCounts, environment: Environment): ServiceFile[] {
  const numbered = (service: ServiceFile, count: number, settingsOf: (name: string) => ServiceSettings) =>
    Array.from({ length: count }, (_, index) => {
      const name = `${service.name}-${index + 1}`;
      return { ...service, name, settings: settingsOf(name) };
    });
  const node = SETTINGS.nodeName.variable;
  // A name that was given is the only process's own, or what each name begins with: other machines may have nodes, too.
  const given = environment[node];
  const nodeName = (name: string) => {
    if (!given) return name;
    return actors === 1 ? given : name.replace('actors', given);
  };
  return SERVICES.flatMap((service) => {
    switch (service.name) {
      case 'gateway':
        return numbered(service, gateways, () =>
          gateways > 1 ? { [SETTINGS.sharesPorts.variable]: 'on' } : {},
        );
      case 'actors':
        return numbered(service, actors, (name) => ({ [node]: nodeName(name) }));
      default:
        return [service];
    }
  });
}

type ServerVariable = 'REDIS_URL' | 'DATABASE_URL' | 'NATS_URL';

export interface Stopped {
  readonly name: string;
  readonly boundMs: number;
  readonly result: StopResult;
}

interface Stoppable {
  readonly supervisor: Supervisor;
  readonly stopBoundMs: number;
}

export interface LocalStackOptions {
  /** Of the local PostgreSQL. */
  readonly connectionsMax?: number;
}

export class LocalStack {
  readonly #instance: Instance;
  readonly #report: (event: SupervisorEvent) => void;
  readonly #options: LocalStackOptions;
  readonly #servers: Supervisor[] = [];
  /** In their order; those that end together in one group. */
  readonly #services = new Map<string, Stoppable[]>();

  constructor(instance: Instance, report: (event: SupervisorEvent) => void, options: LocalStackOptions = {}) {
    this.#instance = instance;
    this.#report = report;
    this.#options = options;
  }

  /**
   * Starts each server whose URL `environment` does not give.
   * @returns the URLs of the started ones, by variable, in the order in which servers are stopped.
   */
  async startServers(environment: Environment): Promise<Partial<Record<ServerVariable, string>>> {
    const missing = this.#definitions().filter(([variable]) => !environment[variable]);
    const started = missing.map(async ([variable, definition]) => {
      const place = { logFile: this.#instance.path('logs', `${definition.name}.log`) };
      let port: number | undefined;
      const supervisor = new Supervisor(
        definition.name,
        async (onSpawn) => {
          const onChild = { ...place, onSpawn: this.#recorded(onSpawn) };
          const server =
            port === undefined ? startServer(definition, onChild) : startServerOn(port, definition, onChild);
          ({ port } = await server);
        },
        this.#report,
      );
      this.#servers.push(supervisor);
      await supervisor.start();
      return [variable, definition.url(port ?? 0)] as const;
    });
    return Object.fromEntries(await Promise.all(started));
  }

  /** Starts clickledger's own processes and waits until all are ready. */
  async startServices(environment: Environment, services = SERVICES): Promise<void> {
    const starting = services.map(({ name, file, settings, stopBoundMs }) => {
      const logFile = this.#instance.path('logs', `${name}.log`);
      const launch = serviceLaunch({ name, file, environment: { ...environment, ...settings }, logFile });
      const supervisor = new Supervisor(name, (onSpawn) => launch(this.#recorded(onSpawn)), this.#report);
      const group = this.#services.get(file) ?? [];
      this.#services.set(file, [...group, { supervisor, stopBoundMs }]);
      return supervisor.start();
    });
    await Promise.all(starting);
  }

  /** Ends everything in order, processes of one kind together; `onStopped` is told after each kind. */
  async drain(onStopped: (together: readonly Stopped[]) => void): Promise<void> {
    const servers = this.#servers.map((supervisor) => [{ supervisor, stopBoundMs: SERVER_STOP_BOUND_MS }]);
    for (const group of [...this.#services.values(), ...servers]) {
      const stopped = group.map(async ({ supervisor, stopBoundMs }) => ({
        name: supervisor.name,
        boundMs: stopBoundMs,
        result: await supervisor.stop(stopBoundMs),
      }));
      onStopped(await Promise.all(stopped));
    }
  }

  /**
   * Ends everything at once. The stream keeps what was accepted. Waits until the kernel has let the processes go:
   * PostgreSQL would take one that is not collected yet for a running server.
   */
  async kill(): Promise<void> {
    const services = [...this.#services.values()].flat().map(({ supervisor }) => supervisor);
    await Promise.all([...services, ...this.#servers].map((supervisor) => supervisor.kill()));
  }

  /** In the order in which they are stopped: the log that everything is written to comes last. */
  #definitions(): readonly (readonly [ServerVariable, ServerDefinition])[] {
    const { secrets } = this.#instance;
    const directory = (name: string) => this.#instance.path(name);
    return [
      ['REDIS_URL', redisServer({ directory: directory('redis'), password: secrets.redisPassword })],
      [
        'DATABASE_URL',
        postgresServer({
          directory: directory('postgres'),
          password: secrets.postgresPassword,
          ...this.#options,
        }),
      ],
      ['NATS_URL', natsServer({ directory: directory('nats'), token: secrets.natsToken })],
    ];
  }

  #recorded(onSpawn: Parameters<ConstructorParameters<typeof Supervisor>[1]>[0]): typeof onSpawn {
    return (child) => {
      this.#instance.recordProcess(child);
      onSpawn(child);
    };
  }
}
