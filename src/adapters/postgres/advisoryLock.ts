/**
 * One at a time over all processes: an advisory lock of a session, which goes with the process that holds it and with
 * its connection. Who lost the connection asks before each step that others would see.
 */
import type { Pool, PoolClient } from 'pg';

/** Any two numbers, the same everywhere. */
export type LockKey = readonly [number, number];

export const ARCHIVE_LOCK: LockKey = [6_210, 384_115];
/** Keeps order, so that no scheduled run fences a person's; the fence (restate.ts) keeps exactness. */
export const RUN_LOCK: LockKey = [6_210, 384_117];

export class AdvisoryLock {
  /** The session that holds it. */
  readonly client: PoolClient;

  private constructor(client: PoolClient) {
    this.client = client;
  }

  /** undefined: somebody else has it. */
  static async take(pool: Pool, key: LockKey): Promise<AdvisoryLock | undefined> {
    const client = await pool.connect();
    client.on('error', hearBroken);
    try {
      const { rows } = await client.query('select pg_try_advisory_lock($1, $2) as taken', [...key]);
      if (rows[0]?.taken === true) return new AdvisoryLock(client);
    } catch (error) {
      client.release(true);
      throw error;
    }
    client.off('error', hearBroken);
    client.release();
    return undefined;
  }

  /** @throws Error where the session is gone, and the lock with it */
  async check(): Promise<void> {
    await this.client.query('select');
  }

  /** Somebody else can have it when this returns. */
  async release(): Promise<void> {
    // Said, because the server lets it go some time after the connection is gone.
    await this.client.query('select pg_advisory_unlock_all()').catch(hearBroken);
    this.client.release(true);
  }
}

/** A connection that breaks is found by who uses it; unheard, it would end the process. */
function hearBroken(): void {}
