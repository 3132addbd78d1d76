/**
 * One process a folder: one launcher a data folder, or two would start two servers on the same files; one gateway a
 * spool.
 *
 * A file that says "taken" would have to be judged when its writer is gone, and two newcomers may judge at once.
 * So the lock is the kernel's: it goes with the process that holds it, however that ends. SQLite, which Bun has
 * built in, is the way to it: an exclusive transaction on a file that stays empty.
 */
import { Database, SQLiteError } from 'bun:sqlite';
import { join } from 'node:path';

export class FolderLock {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Takes the lock of `directory`, or returns undefined when a running process has it. */
  static take(directory: string): FolderLock | undefined {
    const database = new Database(join(directory, 'lock'));
    try {
      // There is nothing to roll back, and so no journal to leave beside the lock.
      database.run('pragma journal_mode = memory');
      database.run('begin exclusive');
    } catch (error) {
      database.close();
      if (error instanceof SQLiteError && error.code === 'SQLITE_BUSY') return undefined;
      throw error;
    }
    return new FolderLock(database);
  }

  release(): void {
    this.#database.close();
  }
}
