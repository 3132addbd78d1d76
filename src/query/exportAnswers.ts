/**
 * ExportAggregates: all rows of a question as a file in pieces, then its manifest. A piece is made when the reader takes
 * the one before, and rows are read when a piece needs them: memory is that of one portion (I14). A reader that takes
 * nothing for long ends its export, because the snapshot keeps PostgreSQL from tidying up.
 */
import { status } from '@grpc/grpc-js';
import { callError, invalidArgument } from '../contract/callErrors.ts';
import type { ExportAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportAggregatesResponse as Part } from '../contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { StoredRow } from '../domain/aggregates.ts';
import { Buckets } from '../domain/buckets.ts';
import type { OpenedRows } from '../domain/exportedRows.ts';
import type { Question } from '../domain/question.ts';
import type { RowStatus } from '../domain/settlement.ts';
import type { TableFormat } from '../domain/tableFile.ts';
import type { Timers } from '../domain/timers.ts';
import { infoMessage } from './aggregateMessages.ts';
import type { Answers } from './answers.ts';
import { type AskedAggregates, questionOf, readAggregatesRequest } from './askedAggregates.ts';
import { type ExportedRow, exportColumns } from './exportColumns.ts';
import { FilePieces } from './filePieces.ts';
import { belowLeastStatus } from './leastStatus.ts';
import type { ReadAds } from './ports.ts';
import { RowMarks } from './rowMarks.ts';

/** Each holds a connection to PostgreSQL until its reader has everything. */
const EXPORTS_MAX = 2;
/** Rows that differ, and rows that were restated: what is kept of them in memory. */
const MARKS_MAX = 50_000;
const READER_PAUSE_MAX_MS = 60_000;

export const EXPORT_FORMATS = ['CSV', 'NDJSON', 'PARQUET'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportParts {
  readonly openRows: (question: Question, marksMax: number, signal: AbortSignal) => Promise<OpenedRows>;
  readonly readAds: ReadAds;
  readonly formats: Readonly<Record<ExportFormat, TableFormat>>;
  readonly timers: Timers;
}

export function exportAnswers(parts: ExportParts): Answers['exportAggregates'] {
  let exports = 0;
  return async function* (request, signal) {
    const { asked, format } = readExport(request);
    if (exports >= EXPORTS_MAX) {
      throw callError(
        status.RESOURCE_EXHAUSTED,
        `at most ${EXPORTS_MAX} exports may run at the same time; ask again when one has ended`,
      );
    }
    exports += 1;
    try {
      const question = await questionOf(asked, parts.readAds);
      const opened = await parts.openRows(question, MARKS_MAX + 1, signal);
      try {
        yield* fileOf(parts, { asked, question, format }, opened);
      } finally {
        opened.close();
      }
    } finally {
      exports -= 1;
    }
  };
}

interface Export {
  readonly asked: AskedAggregates;
  readonly question: Question;
  readonly format: ExportFormat;
}

async function* fileOf(
  { formats, timers }: ExportParts,
  { asked, question, format }: Export,
  opened: OpenedRows,
): AsyncGenerator<Part> {
  const shape = shapeRows(question, asked.minStatus, opened);
  const table = formats[format](exportColumns(question.groupBy, asked.metrics));
  const pieces = new FilePieces();
  let rows = 0;
  let progress = 0;
  const wholePieces = async function* (bytes: Uint8Array): AsyncGenerator<Part> {
    for (const chunk of pieces.add(bytes)) yield* whileRead({ chunk, rows, progress }, opened, timers);
  };
  yield* wholePieces(table.begin());
  for (;;) {
    const portion = await opened.next();
    if (portion === undefined) break;
    rows += portion.rows.length;
    progress = portion.progress;
    yield* wholePieces(table.add(portion.rows.map(shape)));
  }
  opened.close();
  yield* wholePieces(table.end());
  const { last, bytes, sha256 } = pieces.end();
  if (last.length > 0) yield { chunk: last, rows, progress: 1 };
  const info = infoMessage({ ...opened, missingShards: [] });
  yield { manifest: { rows, bytes, sha256, info }, rows, progress: 1 };
}

/** Closes the rows where the reader does not come for the next part in time. */
async function* whileRead(part: Part, opened: OpenedRows, timers: Timers): AsyncGenerator<Part> {
  const taken = new AbortController();
  let isLate = false;
  void timers.pause(READER_PAUSE_MAX_MS, taken.signal).then(() => {
    if (taken.signal.aborted) return;
    isLate = true;
    opened.close();
  });
  try {
    yield part;
  } finally {
    taken.abort();
  }
  if (isLate) {
    throw callError(
      status.DEADLINE_EXCEEDED,
      `nothing of the export was read for ${READER_PAUSE_MAX_MS / 1_000} s; ask again`,
    );
  }
}

/** @throws CallError where the rows may not be given */
function shapeRows(
  question: Question,
  minStatus: RowStatus,
  { settlement, restated, differing }: OpenedRows,
): (row: StoredRow) => ExportedRow {
  if (differing.length > MARKS_MAX || restated.length > MARKS_MAX) {
    throw invalidArgument(
      `more than ${MARKS_MAX} rows were restated or differ from the streams: ask for fewer ads, a shorter range or a coarser granularity`,
    );
  }
  const below = belowLeastStatus({ settlement, differing }, question.range, minStatus);
  if (below !== undefined) throw callError(status.FAILED_PRECONDITION, below);
  const marks = new RowMarks({ settlement, restated, differing }, question);
  const buckets = new Buckets(question.range, question.width, question.timeZone);
  return (row) => ({ ...row, ...buckets.cut(row.bucketMs), ...marks.of(row.group, row.bucketMs) });
}

function readExport({ query, format }: Request): { asked: AskedAggregates; format: ExportFormat } {
  if (query === null) throw invalidArgument('query is missing: it says which rows');
  const known = EXPORT_FORMATS.find((name) => name === format);
  if (known === undefined)
    throw invalidArgument(`format ${format} is wrong: it must be one of ${EXPORT_FORMATS.join(', ')}`);
  for (const [field, isGiven] of Object.entries({
    page_size: query.page_size !== 0,
    page_token: query.page_token !== '',
    order_by: query.order_by !== '',
    as_of_ms: query.as_of_ms !== undefined,
    fill: query.fill,
  })) {
    if (isGiven)
      throw invalidArgument(`query.${field} is not for exports: they have all rows, as they are now`);
  }
  return { asked: readAggregatesRequest(query), format: known };
}
