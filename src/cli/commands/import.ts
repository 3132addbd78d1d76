/**
 * `clickledger import`: clicks out of a CSV file, through the gateway like any other click. The same file again is
 * nothing but duplicates, so an import that was stopped or failed is simply run again.
 */
import { Command } from 'commander';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { destinationOf } from '../import/adRegistrar.ts';
import { columnList, mapColumns, parseMap } from '../import/columnMapping.ts';
import { CsvFile } from '../import/csvFile.ts';
import { runImportSession } from '../import/importSession.ts';
import { durationOption, listOption, wholeNumberOption } from '../optionValues.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { printError } from '../terminal.ts';

/** The gateway's own limit of a request. */
const BATCH_ROWS_MAX = 5_000;
const WINDOW_MAX = 256;
const RETRY_FOR_MS = 60_000;
const RETRY_FOR_MAX_MS = 86_400_000;
/** The gateway's limit of a source is 128 bytes; a character may take 4. */
const SOURCE_FILE_CHARACTERS = 30;

interface ImportCommandOptions {
  readonly map?: readonly string[];
  readonly createAds?: boolean;
  readonly destination: string;
  readonly source?: string;
  readonly batch: number;
  readonly window: number;
  readonly retryFor?: number;
  readonly fileName?: string;
}

export function importCommand(): Command {
  return new Command('import')
    .description('send the clicks of a CSV file to the gateway')
    .argument('<file>', 'CSV, plain or gzip; its first line names the columns')
    .option(
      '--map <field=column,...>',
      'which column fills which field; a column named like a field fills it anyway',
      listOption,
    )
    .option('--create-ads', 'register ads that the catalog does not know')
    .option('--destination <url>', 'where clicks on registered ads lead', 'https://example.com/ads/{ad_id}')
    .option('--source <name>', 'kept with each click (default: import:<file name>)')
    .option('--batch <rows>', 'rows a request', wholeNumberOption(1, BATCH_ROWS_MAX), 1_000)
    .option('--window <requests>', 'requests on their way at a time', wholeNumberOption(1, WINDOW_MAX), 8)
    .option(
      '--retry-for <duration>',
      'give up when nothing comes through for so long (default: 60s)',
      durationOption(0, RETRY_FOR_MAX_MS),
    )
    .option('--file-name <name>', 'name that stands for the file in derived click ids (default: its own)')
    .addHelpText('after', HELP)
    .action(importFile);
}

const HELP = `
Rows without a click_id get one derived from the file's name, the row's number and the event time. So the same
file may be imported again and counts nothing twice, wherever it lies. A file that was renamed (x.csv to x.csv.gz
too), or had rows put in or taken out, counts as another file.

event_time may be epoch seconds, epoch milliseconds, ISO 8601 or YYYY-MM-DD H:MM[:SS]; UTC where no zone is named.

Exit codes: 0 every row accepted, 1 some rejected or failed, 2 wrong use, 130 Ctrl-C.

Example:
  ./clickledger import clicks.csv.gz --map ad_id=app,publisher_id=channel,event_time=click_time --create-ads`;

async function importFile(filePath: string, options: ImportCommandOptions): Promise<void> {
  const map = parseMap(options.map ?? []);
  refuseWrongDestination(options.destination);
  const address = endpoints(instanceEnvironment(dataDirectory())).ingestAddress;
  const file = await CsvFile.open(filePath);
  try {
    const mapping = mapColumns(file.header, map);
    if (mapping.unused.length > 0) printError(`columns that fill no field: ${columnList(mapping.unused)}`);
    const fileName = options.fileName ?? file.name;
    await runImportSession({
      file,
      fileName,
      mapping,
      address,
      source: options.source ?? `import:${fileName.slice(0, SOURCE_FILE_CHARACTERS)}`,
      batchRows: options.batch,
      windowBatches: options.window,
      retryForMs: options.retryFor ?? RETRY_FOR_MS,
      destinationTemplate: options.createAds === true ? options.destination : undefined,
    });
  } finally {
    file.close();
  }
}

function refuseWrongDestination(template: string): void {
  const example = destinationOf(template, 'ad');
  if (/^https?:\/\//.test(example) && URL.canParse(example)) return;
  throw new CliError(`--destination ${template} is no URL that starts with https:// or http://`);
}
