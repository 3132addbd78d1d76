/** `clickledger migrate`: brings tables and streams to what this version needs. */
import { Command } from 'commander';
import { prepareInstallation } from '../prepareInstallation.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { print } from '../terminal.ts';

export function migrateCommand(): Command {
  return new Command('migrate')
    .description('bring tables and streams to what this version needs (up does it by itself)')
    .action(async () => {
      const applied = await prepareInstallation(instanceEnvironment(dataDirectory()));
      if (applied.length === 0) print('nothing to do: tables and streams are what this version needs');
      for (const name of applied) print(`applied ${name}`);
    });
}
