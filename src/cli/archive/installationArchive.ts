/** The archive of the installation in the data folder, whether it runs or not. */
import { join, resolve } from 'node:path';
import { BucketError } from '../../adapters/s3/archiveBucket.ts';
import { openArchive } from '../../archive/config.ts';
import type { ArchiveStore } from '../../archive/ports.ts';
import { CliError } from '../cliError.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';

/** A given folder counts from where the person is, whichever process uses it; the default is in the data folder. */
export function archivePlace(
  environment: Readonly<Record<string, string | undefined>>,
  directory: string,
): string {
  const given = environment['CLICKLEDGER_ARCHIVE'];
  if (!given) return join(directory, 'archive');
  return /^\w+:\/\//.test(given) ? given : resolve(given);
}

/** The settings by which the archive is found. */
export function archiveEnvironment(): Readonly<Record<string, string>> {
  const directory = dataDirectory();
  const environment = instanceEnvironment(directory);
  return { ...environment, CLICKLEDGER_ARCHIVE: archivePlace(environment, directory) };
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
