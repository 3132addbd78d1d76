/** Servers and tables of a measurement's own, in a folder that is gone in the end. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { prepareInstallation } from '../prepareInstallation.ts';
import { Instance } from '../stack/instance.ts';
import { LocalStack, SERVICES } from '../stack/localStack.ts';
import { printError } from '../terminal.ts';

const NODE_NAME = 'bench-1';

export class BenchInstallation {
  /** With which a command or a process reaches it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly #instance: Instance;
  readonly #stack: LocalStack;

  private constructor(
    instance: Instance,
    stack: LocalStack,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#instance = instance;
    this.#stack = stack;
    this.environment = environment;
  }

  /** Servers that run, and everything in them that the first process needs. */
  static async start(settings: Readonly<Record<string, string>>): Promise<BenchInstallation> {
    const directory = await mkdtemp(path.join(tmpdir(), 'clickledger-bench-'));
    // PostgreSQL may run as another user, who must be able to pass through.
    await chmod(directory, 0o711);
    const instance = await Instance.open(directory);
    const stack = new LocalStack(instance, (event) => printError(`${event.name}: ${event.kind}`));
    const own = { ...settings, CLICKLEDGER_DATA_DIR: instance.directory, CLICKLEDGER_NODE: NODE_NAME };
    const bench = new BenchInstallation(instance, stack, {});
    try {
      const urls = await stack.startServers({});
      const environment = { ...process.env, ...own, ...urls };
      await prepareInstallation(environment);
      return new BenchInstallation(instance, stack, environment);
    } catch (error) {
      await bench.remove();
      throw error;
    }
  }

  startActors(): Promise<void> {
    return this.#stack.startServices(
      this.environment,
      SERVICES.filter(({ name }) => name === 'actors'),
    );
  }

  async remove(): Promise<void> {
    await this.#stack.kill();
    this.#instance.close();
    await rm(this.#instance.directory, { recursive: true, force: true });
  }
}
