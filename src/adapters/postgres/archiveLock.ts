/**
 * One archiver at a time: an advisory lock of a session, which goes with the process that holds it and with its
 * connection. Who lost the connection asks before each step that others would see.
 */
import type { Pool, PoolClient } from 'pg';

/** Any number, the same everywhere. */
const LOCK_ID = 6_210_384_115;

export class ArchiveLock {
  readonly #client: PoolClient;

  private constructor(client: PoolClient) {
    this.#client = client;
  }

  /** undefined: another archiver has it. */
  static async take(pool: Pool): Promise<ArchiveLock | undefined> {
    const client = await pool.connect();
    client.on('error', hearBroken);
    try {
      const { rows } = await client.query('select pg_try_advisory_lock($1) as taken', [LOCK_ID]);
      if (rows[0]?.taken === true) return new ArchiveLock(client);
    } catch (error) {
      client.release(true);
      throw error;
    }
    giveBack(client);
    return undefined;
  }

  /** @throws Error where the session is gone, and the lock with it */
  async check(): Promise<void> {
    await this.#client.query('select');
  }

  /** Another archiver can have it when this returns. */
  async release(): Promise<void> {
    try {
      await this.#client.query('select pg_advisory_unlock($1)', [LOCK_ID]);
      giveBack(this.#client);
    } catch {
      // With the session the lock is gone.
      this.#client.release(true);
    }
  }
}

/** A connection that breaks meanwhile is found by `check`; unheard, it would end the process. */
function hearBroken(): void {}

/** To the pool, which hears of it from then on. */
function giveBack(client: PoolClient): void {
  client.off('error', hearBroken);
  client.release();
}
