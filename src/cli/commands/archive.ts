/** `clickledger archive`: what is kept of the streams outside of them, and keeping it. */
import { Command } from 'commander';
import { readArchivedStreams } from '../../archive/manifest.ts';
import { verifyArchive } from '../../archive/verifyArchive.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import { archiveJson, nothingArchived, renderArchive } from '../archive/archiveTable.ts';
import { withInstallationArchive } from '../archive/installationArchive.ts';
import { runArchiver } from '../archive/runArchiver.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { formatCount, formatCountOf } from '../format.ts';
import { interrupts } from '../stack/interrupts.ts';
import { print, printError, showLive } from '../terminal.ts';

const EXIT_DAMAGED = 1;
const EXIT_INTERRUPTED = 130;

export function archiveCommand(): Command {
  return new Command('archive')
    .description('hours of the streams as Parquet files: show, make or verify them')
    .addCommand(
      new Command('status')
        .description('what is archived of each stream')
        .option('--json', 'print a JSON object a stream')
        .action(status),
      { isDefault: true },
    )
    .addCommand(
      new Command('run')
        .description(
          'archive the hours that are over, and take off the streams what is older than STREAM_MAX_AGE',
        )
        .action(run),
    )
    .addCommand(
      new Command('verify')
        .description('read every file again and hold it against its manifest')
        .addHelpText('after', '\nExit codes: 0 whole; 1 damaged, with the names of the files; 130 Ctrl-C.')
        .action(verify),
    );
}

async function status({ json }: { readonly json?: boolean }): Promise<void> {
  endWithClosedPipe();
  await withInstallationArchive(async (store) => {
    const streams = await readArchivedStreams(store).catch(refused);
    if (json === true) for (const stream of streams) print(archiveJson(stream));
    else print(renderArchive(streams, store.place));
  });
}

async function run(): Promise<void> {
  const stop = interrupted();
  try {
    const pass = await runArchiver(stop);
    if (pass === undefined)
      throw new CliError('another archiver is at work on this installation: let it end');
    const { segments, records, bytes, messagesRemoved, shardsTroubled } = pass;
    if (segments === 0) print('nothing new to archive: no other hour is over');
    else
      print(
        `${formatCountOf(segments, 'file')} with ${formatCountOf(records, 'record')} archived, ${formatCountOf(bytes, 'byte')}`,
      );
    if (messagesRemoved > 0) print(`${formatCountOf(messagesRemoved, 'old message')} taken off the streams`);
    if (shardsTroubled.length > 0) {
      printError(`not everything was done for ${formatCountOf(shardsTroubled.length, 'shard')}, see above`);
      process.exitCode = EXIT_DAMAGED;
    }
  } catch (error) {
    if (!stop.aborted) throw error;
    printError('stopped; what is listed above is archived. Run it again for the rest');
    process.exitCode = EXIT_INTERRUPTED;
  }
}

async function verify(): Promise<void> {
  const stop = interrupted();
  let read = 0;
  const onFile = (bytes: number) => {
    read += bytes;
    showLive(`${formatCount(read)} bytes read`);
  };
  try {
    const { place, streams, files, bytes, damages } = await withInstallationArchive(async (store) => ({
      place: store.place,
      ...(await verifyArchive(store, onFile, stop)),
    }));
    showLive('');
    for (const damage of damages) printError(damage);
    const verified = `${formatCountOf(files, 'file')} of ${formatCountOf(streams, 'stream')}, ${formatCountOf(bytes, 'byte')}`;
    // Whole would be said of a folder that was mistyped, too.
    if (files === 0 && damages.length === 0) print(nothingArchived(place));
    else if (damages.length === 0) print(`whole: ${verified}`);
    else {
      printError(`damaged: ${formatCountOf(damages.length, 'file')}; looked at ${verified}`);
      process.exitCode = EXIT_DAMAGED;
    }
  } catch (error) {
    if (!stop.aborted) throw error;
    showLive('');
    printError('stopped');
    process.exitCode = EXIT_INTERRUPTED;
  }
}

function refused(error: unknown): never {
  throw error instanceof UndecidedError ? new CliError(error.message) : error;
}

function interrupted(): AbortSignal {
  return interrupts(() => process.exit(EXIT_INTERRUPTED));
}
