/**
 * One import from the first row to the last answer: rows -> clicks -> batches -> the gateway. Rows that cannot be
 * clicks, clicks whose ad the catalog refuses and clicks that the gateway rejects are all counted in one report.
 */

import type { Click } from '../../contract/generated/clickledger/v1/Click.ts';
import type { IngestStatus__Output } from '../../contract/generated/clickledger/v1/IngestStatus.ts';
import type { AdRegistrar } from './adRegistrar.ts';
import { clickOfRow } from './clickOfRow.ts';
import { ClickSender, type RowBatch, type SenderOptions } from './clickSender.ts';
import type { ColumnMapping } from './columnMapping.ts';
import type { CsvFile } from './csvFile.ts';
import type { ImportReport } from './importReport.ts';

/**
 * A request is closed at so many characters, whatever its rows: the gateway takes 4 MiB, and a character is 3 bytes
 * at most. One row may come on top, which has 1 MiB at most.
 */
const REQUEST_CHARACTERS_MAX = 768 * 1024;
/** After Ctrl-C so long is waited for answers that are on their way. */
const LAST_ANSWERS_MS = 5_000;

const ACCEPTED: IngestStatus__Output = 'ACCEPTED';

export interface ImportOptions {
  readonly file: CsvFile;
  /** The name that goes into derived click ids. */
  readonly fileName: string;
  readonly mapping: ColumnMapping;
  readonly batchRows: number;
  readonly registrar: AdRegistrar | undefined;
  readonly report: ImportReport;
  readonly sending: Omit<SenderOptions, 'onAnswer'>;
}

export type ImportOutcome =
  | { readonly kind: 'complete' }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'failed'; readonly error: Error };

/** Runs until the end of the file, a failure, or `signal`. The report counts every row with an answer once. */
export async function runImport(options: ImportOptions, signal: AbortSignal): Promise<ImportOutcome> {
  const { report } = options;
  const sender = new ClickSender({
    ...options.sending,
    onAnswer: ({ lines }, results) => {
      results.forEach(({ status, reason }, index) => {
        if (status === ACCEPTED) report.accept();
        else report.reject(lines[index] ?? 0, reason === '' ? `the gateway answered ${status}` : reason);
      });
    },
  });
  try {
    for await (const batch of batches(options, signal)) {
      const sendable = await withRegisteredAds(batch, options);
      if (signal.aborted) break;
      if (sendable.clicks.length > 0) await unlessStopped(sender.send(sendable), signal);
    }
    if (!signal.aborted) await unlessStopped(sender.drained(), signal);
    if (!signal.aborted) return { kind: 'complete' };
    await lastAnswers(sender);
    return { kind: 'interrupted' };
  } catch (error) {
    // Where it was the file that failed, what was sent before is still answered.
    await lastAnswers(sender);
    if (signal.aborted) return { kind: 'interrupted' };
    return { kind: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
  } finally {
    sender.close();
    options.file.close();
  }
}

/** Where the file cannot be read on, the rows before come out before the error does. */
async function* batches(options: ImportOptions, signal: AbortSignal): AsyncGenerator<RowBatch> {
  let clicks: Click[] = [];
  let lines: number[] = [];
  let characters = 0;
  let unreadable: { readonly error: unknown } | undefined;
  const rows = options.file.rows();
  for (;;) {
    const next = await rows.next().catch((error: unknown) => {
      unreadable = { error };
    });
    if (signal.aborted || next === undefined || next.done === true) break;
    const row = next.value;
    const outcome = clickOfRow(row, options.mapping, options.fileName);
    if (outcome.kind === 'rejected') {
      options.report.reject(row.line, outcome.reason);
      continue;
    }
    clicks.push(outcome.click);
    lines.push(row.line);
    for (const value of row.values) characters += value.length;
    if (clicks.length < options.batchRows && characters < REQUEST_CHARACTERS_MAX) continue;
    yield { clicks, lines };
    clicks = [];
    lines = [];
    characters = 0;
  }
  if (clicks.length > 0) yield { clicks, lines };
  if (unreadable !== undefined) throw unreadable.error;
}

async function withRegisteredAds(batch: RowBatch, { registrar, report }: ImportOptions): Promise<RowBatch> {
  if (registrar === undefined) return batch;
  await registrar.ensure(batch.clicks.map((click) => click.ad_id ?? ''));
  const clicks: Click[] = [];
  const lines: number[] = [];
  batch.clicks.forEach((click, index) => {
    const line = batch.lines[index] ?? 0;
    const refusal = registrar.refusal(click.ad_id ?? '');
    if (refusal !== undefined) {
      report.reject(line, refusal);
      return;
    }
    clicks.push(click);
    lines.push(line);
  });
  return { clicks, lines };
}

/** As `work`, but resolves at once when the import is stopped. */
async function unlessStopped(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([work, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function lastAnswers(sender: ClickSender): Promise<void> {
  if (sender.isInTrouble) return;
  const timer = setTimeout(() => sender.close(), LAST_ANSWERS_MS);
  await sender.drained().catch(() => {});
  clearTimeout(timer);
}
