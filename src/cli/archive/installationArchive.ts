/** The archive of the installation in the data folder, whether it runs or not. */
import { join } from 'node:path';
import { BucketError } from '../../adapters/s3/archiveBucket.ts';
import { openArchive } from '../../archive/config.ts';
import type { ArchiveStore } from '../../archive/ports.ts';
import { CliError } from '../cliError.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';

/** The settings by which the archive is found. */
export function archiveEnvironment(): Readonly<Record<string, string>> {
  const directory = dataDirectory();
  return { CLICKLEDGER_ARCHIVE: join(directory, 'archive'), ...instanceEnvironment(directory) };
}

/** @throws CliError, SettingsError */
export async function withInstallationArchive<T>(use: (store: ArchiveStore) => Promise<T>): Promise<T> {
  try {
    return await use(openArchive(archiveEnvironment()));
  } catch (error) {
    if (error instanceof BucketError) throw new CliError(error.message);
    throw error;
  }
}
