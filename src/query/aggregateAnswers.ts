/** QueryAggregates: reads the counts that a request asks for, and gives the page of them that it wants. */
import { status } from '@grpc/grpc-js';
import { callError, invalidArgument } from '../contract/callErrors.ts';
import { Buckets } from '../domain/buckets.ts';
import type { Question } from '../domain/question.ts';
import { infoMessage, rowMessage } from './aggregateMessages.ts';
import type { AggregateReader } from './aggregateReader.ts';
import type { Answers } from './answers.ts';
import {
  type AskedAggregates,
  PAGED_ROWS_MAX,
  questionOf,
  ROWS_MAX,
  readAggregatesRequest,
} from './askedAggregates.ts';
import { fillRows } from './filledRows.ts';
import { belowLeastStatus, unknownThen } from './leastStatus.ts';
import type { MergedAggregates, MergedRow } from './mergedAggregates.ts';
import { readPageToken, requestHash, writePageToken } from './pageToken.ts';
import type { ReadAds } from './ports.ts';
import { comparePlaces, inOrder, placeOf } from './rowOrder.ts';

export interface AggregateParts {
  readonly reader: AggregateReader;
  readonly readAds: ReadAds;
}

export function aggregateAnswers({ reader, readAds }: AggregateParts): Answers['queryAggregates'] {
  return async (request, signal) => {
    const asked = readAggregatesRequest(request);
    const { groupBy, order, pageSize, metrics, range } = asked;
    const { page_size: _size, page_token: token, ...rest } = request;
    const hash = requestHash(rest);
    const after = token === '' ? undefined : readPageToken(token, hash, groupBy.length);
    const question = await questionOf(asked, readAds);
    const rowsMax = pageSize === undefined ? ROWS_MAX : PAGED_ROWS_MAX;
    const merged = await read(reader, question, asked.asOfMs, rowsMax + 1, signal);
    const all = allRows(merged, question, asked, rowsMax);
    const below = belowLeastStatus(merged, range, asked.minStatus);
    if (below !== undefined) throw callError(status.FAILED_PRECONDITION, below);
    const ordered = inOrder(all, order).filter(
      (row) => after === undefined || comparePlaces(placeOf(row, order), after, order) > 0,
    );
    const page = ordered.slice(0, pageSize);
    const last = ordered.length > page.length ? page.at(-1) : undefined;
    const form = {
      groupBy,
      isByAdUnasked: request.group_by.length === 0 && groupBy[0] === 'ad_id',
      metrics,
      buckets: new Buckets(question.range, question.width, question.timeZone),
    };
    return {
      rows: page.map((row) => rowMessage(row, form)),
      info: infoMessage(merged),
      next_page_token: last === undefined ? '' : writePageToken(hash, placeOf(last, order)),
    };
  };
}

async function read(
  reader: AggregateReader,
  question: Question,
  asOfMs: number | undefined,
  rowsMax: number,
  signal: AbortSignal,
): Promise<MergedAggregates> {
  if (asOfMs === undefined) return reader.read(question, rowsMax, signal);
  const past = await reader.readPast(asOfMs, question, rowsMax, signal);
  switch (past.kind) {
    case 'future':
      throw invalidArgument(
        `as_of_ms ${asOfMs} is wrong: it must not be ahead of the database's clock, which says ${Math.floor(past.nowMs)}`,
      );
    case 'pending':
      throw callError(status.UNAVAILABLE, 'a change from before as_of_ms is not through yet; ask again');
    case 'read': {
      const unknown = unknownThen(past.settlement, question.range);
      if (unknown !== undefined) throw callError(status.FAILED_PRECONDITION, unknown);
      return past;
    }
  }
}

/** Also those of zeros, where they are asked for. */
function allRows(
  merged: MergedAggregates,
  question: Question,
  asked: AskedAggregates,
  rowsMax: number,
): readonly MergedRow[] {
  const { rows, restated, differing } = merged;
  const isWhole = [rows, restated, differing].every(({ length }) => length <= rowsMax);
  const all = isWhole && asked.fill ? fillRows(merged, question, asked, rowsMax) : rows;
  if (isWhole && all !== undefined) return all;
  const pages = asked.pageSize === undefined ? `, or a page_size for up to ${PAGED_ROWS_MAX} in pages` : '';
  throw invalidArgument(
    `the answer has more than ${rowsMax} rows: ask for fewer ad_ids, a shorter range, a coarser granularity or fewer groups${pages}`,
  );
}
