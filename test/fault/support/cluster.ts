/**
 * An installation for one file of fault tests: servers of its own, and clickledger's processes as children, with a
 * proxy on every way from a process to a server. What is broken here belongs to nobody else.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import { prepareInstallation } from '../../../src/cli/prepareInstallation.ts';
import { freePort } from '../../../src/cli/stack/freePort.ts';
import { parseSigningKeys, type SigningKey } from '../../../src/domain/signingKey.ts';
import { FaultProxy } from '../../support/faultProxy.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { startPostgres } from '../../support/postgres.ts';
import { startRedis } from '../../support/redis.ts';
import { ServiceProcess } from './serviceProcess.ts';

/** Small, so that a test meets many flushes, heartbeats and take-overs in a few seconds. */
const SETTINGS = {
  SHARDS: '4',
  FLUSH_INTERVAL: '300ms',
  HEARTBEAT: '200ms',
  LEASE: '1s',
  PUBLISH_TIMEOUT: '500ms',
};
const SIGNING_KEYS = `k1:${'5a'.repeat(32)}`;

export interface Servers {
  readonly nats: OwnServer;
  readonly redis: OwnServer;
  readonly postgres: OwnServer;
}

/** The ways from clickledger's processes to their servers. */
const LINKS = {
  gatewayNats: 'nats',
  gatewayPostgres: 'postgres',
  actorsNats: 'nats',
  actorsRedis: 'redis',
  actorsPostgres: 'postgres',
  queryNats: 'nats',
  queryPostgres: 'postgres',
} as const satisfies Record<string, keyof Servers>;
type LinkName = keyof typeof LINKS;
export type Links = Readonly<Record<LinkName, FaultProxy>>;

interface Ports {
  readonly http: number;
  readonly ingest: number;
  readonly query: number;
  readonly web: number;
  readonly queryMetrics: number;
}

export class Cluster {
  readonly servers: Servers;
  readonly links: Links;
  readonly gateway: ServiceProcess;
  readonly query: ServiceProcess;
  /** Actors processes that were started, by the names that they were given here. */
  readonly nodes = new Map<string, ServiceProcess>();
  readonly #directory: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #ports: Ports;

  private constructor(
    directory: string,
    settings: Readonly<Record<string, string>>,
    servers: Servers,
    links: Links,
    ports: Ports,
  ) {
    this.#directory = directory;
    this.#settings = settings;
    this.servers = servers;
    this.links = links;
    this.#ports = ports;
    this.gateway = this.#service('gateway', 'gateway', { nats: 'gatewayNats', postgres: 'gatewayPostgres' });
    this.query = this.#service('query', 'query', { nats: 'queryNats', postgres: 'queryPostgres' });
  }

  /** Everything up, with the actors process `actors-1`. Call `remove` in the end. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const directory = path.join(inject('testDirectory'), `fault-${randomBytes(6).toString('hex')}`);
    await mkdir(directory);
    const [nats, redis, postgres] = await Promise.all([startNats(), startRedis(), startPostgres()]);
    const servers = { nats, redis, postgres };
    const all = { ...SETTINGS, ...settings };
    const ports = {
      http: await freePort(),
      ingest: await freePort(),
      query: await freePort(),
      web: await freePort(),
      queryMetrics: await freePort(),
    };
    const cluster = new Cluster(directory, all, servers, await startLinks(servers), ports);
    try {
      await prepareInstallation({
        ...all,
        NATS_URL: nats.url,
        REDIS_URL: redis.url,
        DATABASE_URL: postgres.url,
      });
      await Promise.all([cluster.gateway.start(), cluster.query.start(), cluster.startNode('actors-1')]);
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  /** Where the gateway keeps its spool. */
  get spoolDirectory(): string {
    return path.join(this.#directory, 'spool');
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.#ports.http}`;
  }

  get httpPort(): number {
    return this.#ports.http;
  }

  get ingestAddress(): string {
    return `127.0.0.1:${this.#ports.ingest}`;
  }

  get queryAddress(): string {
    return `127.0.0.1:${this.#ports.query}`;
  }

  get signingKey(): SigningKey {
    const parsed = parseSigningKeys(SIGNING_KEYS);
    if (parsed.kind !== 'keys' || parsed.keys[0] === undefined)
      throw new Error('the key of the tests is wrong');
    return parsed.keys[0];
  }

  /** The actors process that was started under this name. */
  node(name: string): ServiceProcess {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no ${name}`);
    return node;
  }

  /** Starts an actors process, also one more under a name that is taken: `nodeName` is what it calls itself. */
  async startNode(
    name: string,
    settings: Readonly<Record<string, string>> = {},
    nodeName = name,
  ): Promise<ServiceProcess> {
    let node = this.nodes.get(name);
    if (node === undefined) {
      const links = { nats: 'actorsNats', redis: 'actorsRedis', postgres: 'actorsPostgres' } as const;
      node = this.#service(name, 'actors', links, { CLICKLEDGER_NODE: nodeName });
      this.nodes.set(name, node);
    }
    await node.start(settings);
    return node;
  }

  /** Ends every fault of the network. */
  heal(): void {
    for (const link of Object.values(this.links)) link.heal();
  }

  /** Processes that crashed: no fault of these tests may end one. */
  endedUnasked(): string[] {
    return this.#services()
      .filter(({ hasEndedUnasked }) => hasEndedUnasked)
      .map(({ name }) => name);
  }

  /** How the logs of all processes end. */
  tails(): string {
    return this.#services()
      .map((service) => service.tail())
      .join('\n');
  }

  /** Ends everything and removes all data. */
  async remove(): Promise<void> {
    await Promise.all(this.#services().map((service) => service.kill()));
    for (const link of Object.values(this.links)) link.close();
    await Promise.all(Object.values(this.servers).map((server) => server.stop()));
    await rm(this.#directory, { recursive: true, force: true });
  }

  #services(): ServiceProcess[] {
    return [this.gateway, this.query, ...this.nodes.values()];
  }

  #service(
    name: string,
    folder: 'gateway' | 'actors' | 'query',
    links: Partial<Record<keyof Servers, LinkName>>,
    settings: Readonly<Record<string, string>> = {},
  ): ServiceProcess {
    const through = (server: keyof Servers, link: LinkName | undefined) =>
      link === undefined ? '' : onPort(this.servers[server].url, this.links[link].port);
    return new ServiceProcess({
      name,
      file: `src/${folder}/main.ts`,
      logFile: path.join(this.#directory, `${name}.log`),
      environment: {
        ...this.#settings,
        NATS_URL: through('nats', links.nats),
        REDIS_URL: through('redis', links.redis),
        DATABASE_URL: through('postgres', links.postgres),
        CLICKLEDGER_DATA_DIR: path.join(this.#directory, 'data'),
        CLICKLEDGER_SPOOL_DIR: this.spoolDirectory,
        CLICKLEDGER_HTTP_PORT: String(this.#ports.http),
        CLICKLEDGER_INGEST_PORT: String(this.#ports.ingest),
        CLICKLEDGER_QUERY_PORT: String(this.#ports.query),
        CLICKLEDGER_WEB_PORT: String(this.#ports.web),
        CLICKLEDGER_QUERY_METRICS_PORT: String(this.#ports.queryMetrics),
        CLICKLEDGER_SIGNING_KEYS: SIGNING_KEYS,
        CLICKLEDGER_USER_KEY_SALT: '6b'.repeat(16),
        ...settings,
      },
    });
  }
}

async function startLinks(servers: Servers): Promise<Links> {
  const entries = Object.entries(LINKS).map(
    async ([name, server]) => [name, await FaultProxy.start(servers[server].port)] as const,
  );
  return Object.fromEntries(await Promise.all(entries)) as Links;
}

/** The same server's URL, by another port. */
function onPort(url: string, port: number): string {
  return url.replace(/^([^/]+\/\/[^/]*:)\d+/, `$1${port}`);
}
