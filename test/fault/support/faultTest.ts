/**
 * The frame of a fault test: a load runs, the fault comes and goes, and in the end everything stored is exactly what
 * must be. The tests of one group share a cluster; after a failure the next one gets a new one.
 */
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { compare, settled } from './exactness.ts';
import { TEST_TIMEOUT_MS } from './length.ts';
import { Load } from './load.ts';
import { addRow } from './report.ts';

export interface FaultScene {
  readonly cluster: Cluster;
  /** Registered, and not started. */
  readonly load: Load;
  /** Looks, after everything was found exact, whether the fault did what it was to do. */
  readonly afterwards: (check: () => Promise<void> | void) => void;
}

/** Begins the load, makes the fault and ends it: when it returns, recovery begins. */
export type Fault = (scene: FaultScene) => Promise<void>;

export class FaultGroup {
  readonly #settings: Readonly<Record<string, string>>;
  #cluster: Cluster | undefined;

  /** For a `describe` or a file: the cluster is made when a test first needs it. */
  constructor(settings: Readonly<Record<string, string>> = {}) {
    this.#settings = settings;
    afterAll(() => this.#drop());
  }

  test(name: string, fault: Fault): void {
    test(name, { timeout: TEST_TIMEOUT_MS }, async () => {
      this.#cluster ??= await Cluster.start(this.#settings);
      const cluster = this.#cluster;
      try {
        await run(cluster, name, fault);
      } catch (error) {
        const tails = cluster.tails();
        await this.#drop();
        // The logs are gone with the cluster.
        process.stderr.write(`${name}\n${tails}\n`);
        throw error;
      }
    });
  }

  async #drop(): Promise<void> {
    const cluster = this.#cluster;
    this.#cluster = undefined;
    await cluster?.remove();
  }
}

async function run(cluster: Cluster, name: string, fault: Fault): Promise<void> {
  const load = await Load.register(cluster);
  try {
    const checks: (() => Promise<void> | void)[] = [];
    await fault({ cluster, load, afterwards: (check) => checks.push(check) });
    const overAt = performance.now();
    cluster.heal();
    await load.finish();
    await settled(cluster, load);
    const recoverySeconds = (performance.now() - overAt) / 1_000;
    const compared = await compare(cluster, load);
    for (const check of checks) await check();
    const system = path.basename(expect.getState().testPath ?? '', '.test.ts');
    addRow(inject('testDirectory'), {
      system,
      fault: name,
      sent: load.answered,
      ...compared,
      recoverySeconds,
    });
  } finally {
    await load.close();
  }
}
