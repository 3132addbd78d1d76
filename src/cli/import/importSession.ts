/**
 * An import as a person at the terminal sees it: connect, show progress, try again when the gateway goes away, and
 * in the end a table and an exit code: 0 every row accepted, 1 some rejected or failed, 130 Ctrl-C.
 */
import { explainCallError, isServiceError } from '../../adapters/grpc/callError.ts';
import { catalogClient, type IngestClient, ingestClient } from '../../adapters/grpc/clients.ts';
import { CliError } from '../cliError.ts';
import { formatCount, formatCountOf, formatSpan } from '../format.ts';
import { interrupts } from '../stack/interrupts.ts';
import { print, printError } from '../terminal.ts';
import { AdRegistrar, type RegistrarOptions } from './adRegistrar.ts';
import type { ColumnMapping } from './columnMapping.ts';
import type { CsvFile } from './csvFile.ts';
import { type ImportProgress, startProgress } from './importProgress.ts';
import { ImportReport } from './importReport.ts';
import { type ImportOutcome, runImport } from './runImport.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** Far above what a gateway takes for a batch: it spools after PUBLISH_TIMEOUT. */
const ANSWER_TIMEOUT_MS = 30_000;
const EXIT_REJECTED = 1;
const EXIT_INTERRUPTED = 130;
const COLUMNS_WITHOUT_TTY = 120;
const GATEWAY = 'the gateway';

export interface SessionOptions {
  readonly file: CsvFile;
  readonly fileName: string;
  readonly mapping: ColumnMapping;
  /** `host:port` of the gateway's ingest service. */
  readonly address: string;
  readonly source: string;
  readonly batchRows: number;
  readonly windowBatches: number;
  readonly retryForMs: number;
  /** Where ads that are not in the catalog lead; undefined: they are not registered. */
  readonly destinationTemplate: string | undefined;
}

/** Sets `process.exitCode`. @throws CliError where the gateway cannot be reached at the start */
export async function runImportSession(options: SessionOptions): Promise<void> {
  const ingest = ingestClient(options.address);
  const catalog = catalogClient(options.address);
  try {
    await refuseWithoutGateway(ingest);
    const interrupted = interrupts(() => process.exit(EXIT_INTERRUPTED));
    await importRows(options, ingest, catalog, interrupted);
  } finally {
    ingest.close();
    catalog.close();
  }
}

async function importRows(
  options: SessionOptions,
  ingest: IngestClient,
  catalog: RegistrarOptions['catalog'],
  interrupted: AbortSignal,
): Promise<void> {
  const report = new ImportReport();
  const nowMs = () => performance.now();
  const startMs = nowMs();
  const progress = progressOf(options.file, report, nowMs);
  const { retryForMs, destinationTemplate } = options;
  const retrying = { retryForMs, nowMs, onTrouble: troubleReporter(progress, options.address) };
  const registrar =
    destinationTemplate === undefined
      ? undefined
      : new AdRegistrar({ ...retrying, catalog, destinationTemplate, pause: (ms) => pause(ms, interrupted) });
  const sending = {
    ...retrying,
    openStream: () => ingest.streamIngestClicks(),
    source: options.source,
    windowBatches: options.windowBatches,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
  };
  const outcome = await runImport({ ...options, registrar, report, sending }, interrupted);
  progress.stop();
  print(report.render(nowMs() - startMs, process.stdout.columns || COLUMNS_WITHOUT_TTY));
  if (registrar !== undefined) print(`${formatCountOf(registrar.created, 'ad')} registered`);
  conclude(outcome, report, options.address);
}

function progressOf(file: CsvFile, report: ImportReport, nowMs: () => number): ImportProgress {
  return startProgress(
    {
      sizeBytes: file.sizeBytes,
      bytesRead: () => file.bytesRead,
      rowsSettled: () => report.settled,
      rowsRejected: () => report.rejected,
      nowMs,
    },
    process.stderr,
  );
}

function conclude(outcome: ImportOutcome, report: ImportReport, address: string): void {
  const again = 'run the same import again: rows that are in already are not counted twice';
  const acknowledged = `${formatCount(report.accepted)} rows were acknowledged`;
  switch (outcome.kind) {
    case 'complete':
      if (report.rejected > 0) process.exitCode = EXIT_REJECTED;
      return;
    case 'interrupted':
      printError(`stopped; ${acknowledged}. To go on, ${again}`);
      process.exitCode = EXIT_INTERRUPTED;
      return;
    case 'failed':
      printError(explained(outcome.error, address));
      printError(`not complete; ${acknowledged}. When that is mended, ${again}`);
      process.exitCode = EXIT_REJECTED;
  }
}

function explained(error: Error, address: string): string {
  if (isServiceError(error)) return explainCallError(error, GATEWAY, address);
  return error instanceof CliError ? error.message : (error.stack ?? error.message);
}

function troubleReporter(progress: ImportProgress, address: string): RegistrarOptions['onTrouble'] {
  return (error, _waitMs, leftMs) => {
    const why = isServiceError(error) ? explainCallError(error, GATEWAY, address) : error.message;
    progress.trouble(`trying again for ${formatSpan(leftMs)}: ${why}`);
  };
}

async function refuseWithoutGateway(client: IngestClient): Promise<void> {
  await client.ready(CONNECT_TIMEOUT_MS).catch(() => {
    throw new CliError(
      `cannot reach the gateway at ${client.address} within ${formatSpan(CONNECT_TIMEOUT_MS)}; is \`./clickledger up\` running?`,
    );
  });
}

/** Rejects when `signal` says stop. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(new Error('stopped'));
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}
