/**
 * A whole installation as a person has it: `clickledger up` with a data folder and ports of its own, real servers
 * and processes. Tests reach it as anybody does, over HTTP, gRPC and the command line, and kill its processes by id.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { inject } from 'vitest';

const PROJECT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(PROJECT, 'src/cli/main.ts');
const READY_MS = 90_000;
const STOP_MS = 60_000;
const POLL_MS = 20;

export type Service = 'gateway' | 'actors' | 'query' | 'reconciler';
export type Server = 'nats-server' | 'redis-server' | 'postgres';

export interface CommandResult {
  readonly exitCode: number;
  readonly output: string;
}

export class Installation {
  readonly directory: string;
  readonly httpUrl: string;
  readonly ingestAddress: string;
  readonly queryAddress: string;
  /** The reconciler's own port, behind the query service. */
  readonly auditAddress: string;
  readonly metricsUrl: string;
  readonly webUrl: string;
  readonly queryMetricsUrl: string;
  readonly #environment: NodeJS.ProcessEnv;
  #up: { pid: number; ended: Promise<number> } | undefined;
  #output: () => string = () => '';

  private constructor(
    directory: string,
    ports: readonly number[],
    settings: Readonly<Record<string, string>>,
  ) {
    const [http, ingest, query, audit, metrics, web, queryMetrics] = ports;
    this.directory = directory;
    this.httpUrl = `http://127.0.0.1:${http}`;
    this.ingestAddress = `127.0.0.1:${ingest}`;
    this.queryAddress = `127.0.0.1:${query}`;
    this.auditAddress = `127.0.0.1:${audit}`;
    this.webUrl = `http://127.0.0.1:${web}`;
    this.metricsUrl = `http://127.0.0.1:${metrics}/metrics`;
    this.queryMetricsUrl = `http://127.0.0.1:${queryMetrics}/metrics`;
    this.#environment = {
      ...process.env,
      // Given ones would be used instead of this installation's own.
      NATS_URL: '',
      REDIS_URL: '',
      DATABASE_URL: '',
      CLICKLEDGER_DATA_DIR: directory,
      CLICKLEDGER_HTTP_PORT: String(http),
      CLICKLEDGER_INGEST_PORT: String(ingest),
      CLICKLEDGER_QUERY_PORT: String(query),
      CLICKLEDGER_AUDIT_PORT: String(audit),
      CLICKLEDGER_RECONCILER_METRICS_PORT: String(metrics),
      CLICKLEDGER_WEB_PORT: String(web),
      CLICKLEDGER_QUERY_METRICS_PORT: String(queryMetrics),
      ...settings,
    };
  }

  /**
   * A new installation that is ready. Call `remove` in the end.
   * @param options of `up`
   */
  static async start(
    settings: Readonly<Record<string, string>> = {},
    ...options: readonly string[]
  ): Promise<Installation> {
    const directory = path.join(inject('testDirectory'), `up-${randomBytes(6).toString('hex')}`);
    await mkdir(directory, { mode: 0o711 });
    const installation = new Installation(directory, await freePorts(7), settings);
    await installation.up(...options);
    return installation;
  }

  /** `clickledger up`; returns when it says that it is ready. */
  async up(...options: readonly string[]): Promise<void> {
    const { child, output, ended } = this.#command('up', ...options);
    if (child.pid === undefined) throw new Error('up did not start');
    this.#up = { pid: child.pid, ended };
    this.#output = output;
    let hasEnded = false;
    void ended.then(() => {
      hasEnded = true;
    });
    const deadline = performance.now() + READY_MS;
    while (!/^ready$/m.test(output())) {
      if (hasEnded || performance.now() > deadline) throw new Error(`up is not ready:\n${output()}`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** What `up`, or the last one, has printed so far. */
  get output(): string {
    return this.#output();
  }

  /** Ends `up` as Ctrl-C does; its exit code. */
  async stop(): Promise<number> {
    if (this.#up === undefined) return 0;
    const { pid, ended } = this.#up;
    this.#up = undefined;
    process.kill(pid, 'SIGTERM');
    const bound = Bun.sleep(STOP_MS).then(() => -1);
    const code = await Promise.race([ended, bound]);
    if (code === -1) process.kill(pid, 'SIGKILL');
    return code;
  }

  /** Ends everything at once, as a second Ctrl-C does. */
  async killAll(): Promise<void> {
    if (this.#up === undefined) return;
    const { pid, ended } = this.#up;
    process.kill(pid, 'SIGTERM');
    while (!this.output.includes('draining ...')) await Bun.sleep(POLL_MS);
    process.kill(pid, 'SIGINT');
    await ended;
    this.#up = undefined;
  }

  /** Ends one of several alike as a crash does, by the name that `up` gave it. */
  async killOne(name: string): Promise<void> {
    const processes = JSON.parse(await readFile(path.join(this.directory, 'processes.json'), 'utf8'));
    process.kill(processes[name].pid, 'SIGKILL');
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Ends a process as a crash does; `up` starts it again. Returns when another one runs in its place. */
  kill(name: Service | Server): Promise<void> {
    return this.#replace(name, 'SIGKILL');
  }

  /** Ends a process in order; `up` starts it again likewise. */
  stopService(name: Service): Promise<void> {
    return this.#replace(name, 'SIGTERM');
  }

  async #replace(name: Service | Server, signal: NodeJS.Signals): Promise<void> {
    const before = await this.#pidOf(name);
    if (before === undefined) throw new Error(`${name} does not run`);
    process.kill(before, signal);
    const deadline = performance.now() + READY_MS;
    for (;;) {
      const now = await this.#pidOf(name);
      if (now !== undefined && now !== before) return;
      if (performance.now() > deadline) throw new Error(`${name} was not started again:\n${this.output}`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** Holds a process still: its connections stay open, nothing is answered. Returns how to let it go on. */
  async pause(name: Service | Server): Promise<() => void> {
    const pid = await this.#pidOf(name);
    if (pid === undefined) throw new Error(`${name} does not run`);
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  }

  /** Where its Redis is. */
  redisUrl(): Promise<string> {
    return this.#endpoint('REDIS_URL');
  }

  /** Where its NATS is. */
  natsUrl(): Promise<string> {
    return this.#endpoint('NATS_URL');
  }

  /** Where its PostgreSQL is. */
  databaseUrl(): Promise<string> {
    return this.#endpoint('DATABASE_URL');
  }

  async #endpoint(variable: string): Promise<string> {
    const { environment } = JSON.parse(await readFile(path.join(this.directory, 'endpoints.json'), 'utf8'));
    return environment[variable];
  }

  /** A command of the command line, to its end. */
  async run(...words: readonly string[]): Promise<CommandResult> {
    const { output, ended } = this.#command(...words);
    const exitCode = await ended;
    return { exitCode, output: output() };
  }

  /** A command that is under way; `kill` ends it as a crash does, and returns when it is gone. */
  begin(...words: readonly string[]): { kill(): Promise<void> } {
    const { child, ended } = this.#command(...words);
    return {
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  }

  #command(...words: readonly string[]) {
    const child = spawn(process.execPath, [MAIN, ...words], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output += text;
      });
    }
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
    return { child, output: () => output, ended };
  }

  #pidOf(name: Service | Server): Promise<number | undefined> {
    return this.#childPid(
      (words) => words.includes(`src/${name}/main.ts`) || (words.split('\0')[0]?.includes(name) ?? false),
    );
  }

  /** The child of `up` whose command line (its words apart by NUL) is the one. */
  async #childPid(isIt: (words: string) => boolean): Promise<number | undefined> {
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const [words, status] = await Promise.all([readProc(entry, 'cmdline'), readProc(entry, 'status')]);
      const parent = Number(/^PPid:\t(\d+)$/m.exec(status)?.[1]);
      if (parent === this.#up?.pid && isIt(words)) return Number(entry);
    }
    return undefined;
  }
}

async function readProc(pid: string, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listen(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
}
