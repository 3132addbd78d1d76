/** How long PostgreSQL took for the actors' flushes, by its own log of statements. */
import { open, stat } from 'node:fs/promises';
import type { Pool } from 'pg';

const FLUSH_LINE = /duration: ([\d.]+) ms {2}execute store-flush/g;

/** Has PostgreSQL write down how long each statement took, without its values. */
export async function logStatements(pool: Pool): Promise<void> {
  await pool.query('alter system set log_min_duration_statement = 0');
  await pool.query('alter system set log_parameter_max_length = 0');
  await pool.query('select pg_reload_conf()');
}

export class FlushLog {
  readonly #file: string;
  readonly #from: number;

  private constructor(file: string, from: number) {
    this.#file = file;
    this.#from = from;
  }

  /** What is written from now on. */
  static async begin(file: string): Promise<FlushLog> {
    return new FlushLog(file, (await stat(file)).size);
  }

  /** Seconds of each flush since then. */
  async seconds(): Promise<number[]> {
    const handle = await open(this.#file);
    try {
      const { size } = await handle.stat();
      const bytes = Buffer.alloc(size - this.#from);
      await handle.read(bytes, 0, bytes.length, this.#from);
      return [...bytes.toString().matchAll(FLUSH_LINE)].map(([, ms]) => Number(ms) / 1_000);
    } finally {
      await handle.close();
    }
  }
}
