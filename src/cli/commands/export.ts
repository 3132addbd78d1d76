/** `clickledger export`: the counts of ads over time as a file. */
import path from 'node:path';
import { Command, Option } from 'commander';
import { explainCallError, isServiceError } from '../../adapters/grpc/callError.ts';
import { queryClient } from '../../adapters/grpc/clients.ts';
import type { ExportAggregatesRequest } from '../../contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportManifest__Output as Manifest } from '../../contract/generated/clickledger/v1/ExportManifest.ts';
import { GRANULARITIES, type Granularity } from '../../domain/granularity.ts';
import { ROW_STATUSES, type RowStatus } from '../../domain/settlement.ts';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { ExportProgress, formatMegabytes } from '../export/exportProgress.ts';
import { PartFile, StandardOutput, type Target } from '../export/partFile.ts';
import { BrokenExportError, receiveExport } from '../export/receiveExport.ts';
import { formatCountOf } from '../format.ts';
import { adList } from '../optionValues.ts';
import { renderFreshness } from '../query/aggregateTable.ts';
import { parseTimeRange } from '../query/timeRange.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { interrupts } from '../stack/interrupts.ts';
import { printError } from '../terminal.ts';

const EXIT_BROKEN = 1;
const EXIT_INTERRUPTED = 130;
const FORMATS = { csv: 'CSV', ndjson: 'NDJSON', parquet: 'PARQUET' } as const;
type Format = keyof typeof FORMATS;

interface ExportOptions {
  readonly ads: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly granularity: string;
  readonly minStatus?: string;
  readonly format?: Format;
  readonly output: string;
}

export function exportCommand(): Command {
  return new Command('export')
    .description('write the counts of ads to a file: CSV, NDJSON or Parquet')
    .requiredOption('--ads <ids>', 'the ads, with commas between; may stand several times', adList)
    .requiredOption('-o, --output <file>', 'where to; - is standard output')
    .option(
      '--from <time>',
      'now, a span back such as -7d, or an ISO 8601 time (UTC where it names no zone)',
      '-1d',
    )
    .option('--to <time>', 'likewise; the range ends before it', 'now')
    .addOption(
      new Option('--granularity <width>', 'width of a row')
        .choices(GRANULARITIES.map((name) => name.toLowerCase()))
        .default('minute'),
    )
    .addOption(
      new Option('--min-status <status>', 'fail where a minute of the range has less').choices(
        ROW_STATUSES.map((name) => name.toLowerCase()),
      ),
    )
    .addOption(
      new Option('--format <name>', 'what the file is; else by the end of its name').choices(
        Object.keys(FORMATS),
      ),
    )
    .addHelpText('after', HELP)
    .action(exportCounts);
}

const HELP = `
The rows are those of one moment, of what was flushed by then. The file takes its place when it is whole and equal to its
manifest; until then, and after Ctrl-C, what stood there stays.

Exit codes: 0 written; 1 what arrived was not what the manifest says; 2 not: wrong use, less than --min-status, or the
query service is away; 130 Ctrl-C.

Examples:
  ./clickledger export --ads shoes,hats --from -7d --granularity hour -o counts.parquet
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
  const range = parseTimeRange(options.from, options.to, nowMs);
  return {
    format: FORMATS[formatOf(options)],
    query: {
      ad_ids: [...new Set(options.ads)],
      from_ms: range.fromMs,
      to_ms: range.toMs,
      granularity: options.granularity.toUpperCase() as Granularity,
      ...(options.minStatus !== undefined && { min_status: options.minStatus.toUpperCase() as RowStatus }),
    },
  };
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
