/**
 * The command line: `./clickledger <command>`. Each command is a file in `commands/` that exports its own
 * `Command`; this file only puts them together and decides what an error looks like from outside.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong use or wrong settings (the message alone, no stack).
 */
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { SettingsError } from '../adapters/environment/settings.ts';
import { UnfitServerError } from '../adapters/environment/unfitServer.ts';
import { CliError } from './cliError.ts';
import { archiveCommand } from './commands/archive.ts';
import { benchCommand } from './commands/bench.ts';
import { clickCommand } from './commands/click.ts';
import { closePeriodCommand } from './commands/closePeriod.ts';
import { compareCommand } from './commands/compare.ts';
import { deadLettersCommand } from './commands/deadLetters.ts';
import { exportCommand } from './commands/export.ts';
import { foldMemoryCommand } from './commands/foldMemory.ts';
import { hotAdsCommand } from './commands/hotAds.ts';
import { importCommand } from './commands/import.ts';
import { migrateCommand } from './commands/migrate.ts';
import { peopleCommand } from './commands/people.ts';
import { periodsCommand } from './commands/periods.ts';
import { queryCommand } from './commands/query.ts';
import { reconcileCommand } from './commands/reconcile.ts';
import { rulesCommand } from './commands/rules.ts';
import { signCommand } from './commands/sign.ts';
import { simCommand } from './commands/sim.ts';
import { sqlCommand } from './commands/sql.ts';
import { testCommand } from './commands/test.ts';
import { topCommand } from './commands/top.ts';
import { upCommand } from './commands/up.ts';
import { printError } from './terminal.ts';

const EXIT_FAILED = 1;
const EXIT_WRONG_USE = 2;

function program(): Command {
  const root = new Command('clickledger')
    .description(manifest.description)
    .version(manifest.version)
    // Options after a command belong to the command: `test` hands them on to Vitest.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for more)')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_WRONG_USE));
  const commands = [
    upCommand(),
    signCommand(),
    importCommand(),
    queryCommand(),
    peopleCommand(),
    topCommand(),
    compareCommand(),
    exportCommand(),
    clickCommand(),
    hotAdsCommand(),
    reconcileCommand(),
    closePeriodCommand(),
    periodsCommand(),
    rulesCommand(),
    archiveCommand(),
    sqlCommand(),
    deadLettersCommand(),
    foldMemoryCommand(),
    migrateCommand(),
    simCommand(),
    benchCommand(),
    testCommand(),
  ];
  for (const command of commands) {
    root.addCommand(command.copyInheritedSettings(root));
    for (const part of command.commands) part.copyInheritedSettings(command);
  }
  return root;
}

try {
  await program().parseAsync();
} catch (error) {
  const explained =
    error instanceof CliError || error instanceof SettingsError || error instanceof UnfitServerError;
  if (explained) printError(error.message);
  else printError(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(explained ? EXIT_WRONG_USE : EXIT_FAILED);
}
