/**
 * An instance: one data folder, with everything that `up` keeps from one run to the next.
 *
 *   lock            held while `up` runs (adapters/disk/folderLock.ts)
 *   secrets.json    made once; keys of click URLs, the salt, and the servers' passwords. Stays readable when stopped
 *   endpoints.json  while `up` runs: who runs it and how to reach it, for `sign`, `query`, `import` and the like
 *   processes.json  while `up` runs: its children, for the next start after a launcher that was killed
 *   logs/, nats/, redis/, postgres/, spool/
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FolderLock } from '../../adapters/disk/folderLock.ts';
import { errorText } from '../../domain/errorText.ts';
import { CliError } from '../cliError.ts';
import { identify, isRunning, type ProcessIdentity } from './processIdentity.ts';
import { PROJECT_DIRECTORY } from './tools.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Secrets {
  readonly signingKeys: string;
  readonly userKeySalt: string;
  readonly natsToken: string;
  readonly redisPassword: string;
  readonly postgresPassword: string;
}

interface Endpoints {
  readonly launcher: ProcessIdentity;
  readonly environment: Readonly<Record<string, string>>;
}

const SECRET_BYTES = 32;
const SALT_BYTES = 16;
/** The children of a killed launcher were signalled by the kernel when it died; PostgreSQL may still write. */
const LEFTOVER_BOUND_MS = 15_000;
const LEFTOVER_POLL_MS = 50;

/** The data folder that `environment` asks for: a given path counts from the current folder, the default from the project's. */
export function dataDirectory(environment: Environment = process.env): string {
  const given = environment['CLICKLEDGER_DATA_DIR'];
  return given ? resolve(given) : join(PROJECT_DIRECTORY, '.data');
}

/**
 * The variables with which a command reaches the instance in `directory`: its keys, and while it runs its servers
 * and ports. What the caller's own environment says counts more.
 */
export function instanceEnvironment(
  directory: string,
  environment: Environment = process.env,
): Record<string, string> {
  const secrets = readJson<Secrets>(join(directory, 'secrets.json'));
  const endpoints = readJson<Endpoints>(join(directory, 'endpoints.json'));
  const running = endpoints !== undefined && isRunning(endpoints.launcher);
  return {
    ...(secrets && keysOf(secrets)),
    ...(running && endpoints.environment),
    // An empty variable means "not given", as in readSettings.
    ...Object.fromEntries(
      Object.entries(environment).flatMap(([name, value]) => (value ? [[name, value]] : [])),
    ),
  };
}

/** The variables that `up` gives its processes where the environment has none. */
function keysOf({ signingKeys, userKeySalt }: Secrets): Record<string, string> {
  return { CLICKLEDGER_SIGNING_KEYS: signingKeys, CLICKLEDGER_USER_KEY_SALT: userKeySalt };
}

/** The data folder while this process has the lock on it. */
export class Instance {
  readonly directory: string;
  readonly secrets: Secrets;
  readonly #lock: FolderLock;
  readonly #processes = new Map<string, ProcessIdentity>();

  private constructor(directory: string, lock: FolderLock) {
    this.directory = directory;
    this.#lock = lock;
    this.secrets = readJson<Secrets>(this.path('secrets.json')) ?? this.#makeSecrets();
  }

  /**
   * Makes the folder if it is not there, locks it, and waits until no server of an earlier run still uses it.
   * A child that a killed launcher left and that still runs after `leftoverBoundMs` is killed.
   * @throws CliError when another launcher has it, or when it cannot be a data folder.
   */
  static async open(directory: string, leftoverBoundMs = LEFTOVER_BOUND_MS): Promise<Instance> {
    const lock = takeFolder(directory);
    if (lock === undefined) {
      const launcher = readJson<Endpoints>(join(directory, 'endpoints.json'))?.launcher;
      const who = launcher && isRunning(launcher) ? `process ${launcher.pid}` : 'another process';
      throw new CliError(
        `${directory} is in use: clickledger runs on it already (${who}).\n` +
          'Stop that one, or set CLICKLEDGER_DATA_DIR and the ports to run a second instance beside it.',
      );
    }
    const instance = new Instance(directory, lock);
    // Who has the lock, for the message above.
    instance.publish({});
    await instance.#endLeftovers(leftoverBoundMs);
    return instance;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** Lets other commands find this instance. */
  publish(environment: Readonly<Record<string, string>>): void {
    const endpoints: Endpoints = { launcher: identify(process.pid), environment };
    writeJson(this.path('endpoints.json'), endpoints);
  }

  /** Remembers a child, in the place of an earlier one of the same name. */
  recordProcess({ name, pid }: { readonly name: string; readonly pid: number }): void {
    this.#processes.set(name, identify(pid));
    writeJson(this.path('processes.json'), Object.fromEntries(this.#processes));
  }

  /** When all children have ended. */
  close(): void {
    for (const name of ['endpoints.json', 'processes.json']) rmSync(this.path(name), { force: true });
    this.#lock.release();
  }

  async #endLeftovers(boundMs: number): Promise<void> {
    const recorded = readJson<Record<string, ProcessIdentity>>(this.path('processes.json')) ?? {};
    const running = () => Object.values(recorded).filter(isRunning);
    for (let waitedMs = 0; running().length > 0 && waitedMs < boundMs; waitedMs += LEFTOVER_POLL_MS) {
      await Bun.sleep(LEFTOVER_POLL_MS);
    }
    for (const { pid } of running()) process.kill(pid, 'SIGKILL');
  }

  #makeSecrets(): Secrets {
    const hex = (bytes: number) => randomBytes(bytes).toString('hex');
    const secrets: Secrets = {
      signingKeys: `k1:${hex(SECRET_BYTES)}`,
      userKeySalt: hex(SALT_BYTES),
      natsToken: hex(SECRET_BYTES),
      redisPassword: hex(SECRET_BYTES),
      postgresPassword: hex(SECRET_BYTES),
    };
    writeJson(this.path('secrets.json'), secrets);
    return secrets;
  }
}

/** Makes the folder, tries whether it can be written, and locks it; undefined when a running process has the lock. */
function takeFolder(directory: string): FolderLock | undefined {
  try {
    mkdirSync(directory, { recursive: true });
    const probe = join(directory, `probe.${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
    return FolderLock.take(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
}

function unusable(directory: string, error: unknown): CliError {
  return new CliError(
    `The data folder ${directory} cannot be used: ${whyUnusable(error)}.\n` +
      'Set CLICKLEDGER_DATA_DIR to a folder in which this user may write.',
  );
}

function whyUnusable(error: unknown): string {
  const why = errorText(error);
  switch (codeOf(error)) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'there is a file in its place, or in that of a folder above it';
    case 'EACCES':
    case 'EPERM':
      return `this user may not write there (${why})`;
    case 'EROFS':
      return 'its file system is read-only';
    case 'ENOENT':
      return `no folder can be made there (${why})`;
    default:
      return why;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** In one step, so that nobody reads half a file; for the owner's eyes only. */
function writeJson(path: string, value: unknown): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(unfinished, path);
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR') throw unusable(dirname(path), error);
    throw new CliError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
