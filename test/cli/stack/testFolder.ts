/** A data folder for one test, below the run's own folder, which goes when the run ends. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';

/** @param mode 0o700 is a folder that the user `postgres` cannot enter. */
export async function testFolder(mode = 0o755): Promise<string> {
  const folder = join(inject('testDirectory'), `instance ${randomBytes(6).toString('hex')}`);
  await mkdir(folder, { mode });
  return folder;
}
