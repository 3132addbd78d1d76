/** `clickledger export`: the counts of ads over time as a file. */
import path from 'node:path';
import { Command, Option } from 'commander';
import { explainCallError, isServiceError } from '../../adapters/grpc/callError.ts';
import { queryClient } from '../../adapters/grpc/clients.ts';
import type { ExportAggregatesRequest } from '../../contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportManifest__Output as Manifest } from '../../contract/generated/clickledger/v1/ExportManifest.ts';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { ExportProgress, formatMegabytes } from '../export/exportProgress.ts';
import { PartFile, StandardOutput, type Target } from '../export/partFile.ts';
import { BrokenExportError, receiveExport } from '../export/receiveExport.ts';
import { formatCountOf } from '../format.ts';
import { adList } from '../optionValues.ts';
import { renderFreshness } from '../query/aggregateTable.ts';
import { type RowOptions, rowFields, withRowOptions } from '../query/questionOptions.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { interrupts } from '../stack/interrupts.ts';
import { printError } from '../terminal.ts';

const EXIT_BROKEN = 1;
const EXIT_INTERRUPTED = 130;
const FORMATS = { csv: 'CSV', ndjson: 'NDJSON', parquet: 'PARQUET' } as const;
type Format = keyof typeof FORMATS;

interface ExportOptions extends RowOptions {
  readonly ads?: readonly string[];
  readonly format?: Format;
  readonly output: string;
}

export function exportCommand(): Command {
  const command = new Command('export')
    .description('write the counts of ads to a file: CSV, NDJSON or Parquet')
    .requiredOption('-o, --output <file>', 'where to; - is standard output')
    .addOption(
      new Option('--format <name>', 'what the file is; else by the end of its name').choices(
        Object.keys(FORMATS),
      ),
    )
    .option(
      '--ads <ids>',
      'the ads, with commas between; may stand several times; none: all of them',
      adList,
    );
  return withRowOptions(command, '-1d').addHelpText('after', HELP).action(exportCounts);
}

const HELP = `
The rows are those of one moment, of what was flushed by then. The file takes its place when it is whole and equal to its
manifest; until then, and after Ctrl-C, what stood there stays.

Exit codes: 0 written; 1 what arrived was not what the manifest says; 2 not: wrong use, less than --min-status, or the
query service is away; 130 Ctrl-C.

Examples:
  ./clickledger export --ads shoes,hats --from -7d --granularity hour -o counts.parquet
  ./clickledger export --group-by ad_id --from -30d --granularity day --time-zone Asia/Kathmandu -o all-ads.csv
  ./clickledger export --ads shoes --from 2026-10-01 --to 2026-11-01 --min-status final --format csv -o - | gzip > october.csv.gz`;

async function exportCounts(options: ExportOptions): Promise<void> {
  const nowMs = Date.now();
  const request = requestOf(options, nowMs);
  const target = await targetOf(options.output);
  const stop = interrupts(() => {
    target.discard();
    process.exit(EXIT_INTERRUPTED);
  });
  const client = queryClient(endpoints(instanceEnvironment(dataDirectory())).queryAddress);
  const progress = new ExportProgress(() => performance.now(), process.stderr);
  try {
    const call = client.exportAggregates(request);
    stop.addEventListener('abort', () => call.cancel());
    const manifest = await receiveExport(call, target, (state) => progress.show(state));
    progress.stop();
    printError(summary(manifest, options.output, nowMs));
  } catch (error) {
    progress.stop();
    target.discard();
    fail(error, stop.aborted, client.address, options.output);
  } finally {
    client.close();
  }
}

function fail(error: unknown, isInterrupted: boolean, address: string, output: string): void {
  if (isInterrupted) {
    printError('stopped; nothing was written');
    process.exitCode = EXIT_INTERRUPTED;
  } else if (error instanceof BrokenExportError) {
    printError(`${error.message}; nothing was written`);
    process.exitCode = EXIT_BROKEN;
  } else if (isServiceError(error)) {
    throw new CliError(explainCallError(error, 'the query service', address));
  } else {
    throw error instanceof Error && 'code' in error ? unwritable(output, error) : error;
  }
}

function unwritable(output: string, error: unknown): CliError {
  return new CliError(
    `-o ${JSON.stringify(output)} cannot be written: ${error instanceof Error ? error.message : error}; right is a file in a folder with room, or - for standard output`,
  );
}

/** On stderr: standard output may be the file. */
function summary({ rows, bytes, sha256, info }: Manifest, output: string, nowMs: number): string {
  const name = output === '-' ? 'standard output' : output;
  return `${formatCountOf(rows, 'row')}, ${formatMegabytes(bytes)} in ${name}\nSHA-256 ${sha256}\n${renderFreshness(info, nowMs)}`;
}

function requestOf(options: ExportOptions, nowMs: number): ExportAggregatesRequest {
  return { format: FORMATS[formatOf(options)], query: rowFields(options.ads ?? [], options, nowMs) };
}

function formatOf({ format, output }: ExportOptions): Format {
  if (format !== undefined) return format;
  const ending = path.extname(output).slice(1);
  if (Object.hasOwn(FORMATS, ending)) return ending as Format;
  throw new CliError(
    `-o ${output} does not say which format: right is a name that ends in .${Object.keys(FORMATS).join(', .')}, or --format`,
  );
}

async function targetOf(output: string): Promise<Target> {
  if (output === '-') return new StandardOutput();
  try {
    return await PartFile.create(output);
  } catch (error) {
    throw unwritable(output, error);
  }
}
