/** QueryAggregates: checks the request, names the wrong field, reads the counts. */
import { status } from '@grpc/grpc-js';
import { callError, invalidArgument } from '../contract/callErrors.ts';
import type { AggregateRow } from '../contract/generated/clickledger/v1/AggregateRow.ts';
import type { QueryAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { bucketEnd, GRANULARITIES, type Granularity } from '../domain/granularity.ts';
import { AD_ID_BYTES_MAX, cut, isId } from '../domain/limits.ts';
import { ROW_STATUSES, type RowStatus } from '../domain/settlement.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import type { AggregateReader } from './aggregateReader.ts';
import type { Answers } from './answers.ts';
import { belowLeastStatus, unknownThen } from './leastStatus.ts';
import type { MergedAggregates, MergedRow } from './mergedAggregates.ts';
import type { TimeRange } from './ports.ts';

const ADS_MAX = 1_000;
const ROWS_MAX = 50_000;
/** Beyond the year 275760 JavaScript has no dates. */
const TIME_MAX_MS = 8.64e15;

export function aggregateAnswers(reader: AggregateReader): Answers['queryAggregates'] {
  return async (request) => {
    const question = readRequest(request);
    const merged = await read(reader, question);
    const { range, granularity, minStatus } = question;
    if (merged.rows.length > ROWS_MAX || merged.differing.length > ROWS_MAX) {
      throw invalidArgument(
        `the answer has more than ${ROWS_MAX} rows: ask for fewer ad_ids, a shorter range, or a coarser granularity`,
      );
    }
    const below = belowLeastStatus(merged, range, minStatus);
    if (below !== undefined) throw callError(status.FAILED_PRECONDITION, below);
    const { arrivedThroughMs, missingShards } = merged;
    return {
      rows: merged.rows.map((row) => toMessage(row, range, granularity)),
      info: {
        arrived_through_ms: Math.floor(arrivedThroughMs),
        partial: missingShards.length > 0,
        missing_shards: missingShards,
      },
    };
  };
}

interface Question {
  readonly adIds: string[];
  readonly range: TimeRange;
  readonly granularity: Granularity;
  readonly minStatus: RowStatus;
  /** undefined: as it is now. */
  readonly asOfMs: number | undefined;
}

async function read(reader: AggregateReader, question: Question): Promise<MergedAggregates> {
  const { adIds, range, granularity, asOfMs } = question;
  if (asOfMs === undefined) return reader.read(adIds, range, granularity, ROWS_MAX + 1);
  const past = await reader.readPast(asOfMs, adIds, range, granularity, ROWS_MAX + 1);
  switch (past.kind) {
    case 'future':
      throw invalidArgument(
        `as_of_ms ${asOfMs} is wrong: it must not be ahead of the database's clock, which says ${Math.floor(past.nowMs)}`,
      );
    case 'pending':
      throw callError(status.UNAVAILABLE, 'a change from before as_of_ms is not through yet; ask again');
    case 'read': {
      const unknown = unknownThen(past.settlement, range);
      if (unknown !== undefined) throw callError(status.FAILED_PRECONDITION, unknown);
      return past;
    }
  }
}

function readRequest(request: Request): Question {
  const { ad_ids: adIds, from_ms: fromMs, to_ms: toMs } = request;
  if (adIds.length === 0 || adIds.length > ADS_MAX)
    throw invalidArgument(`ad_ids must have 1 to ${ADS_MAX} entries, it has ${adIds.length}`);
  const seen = new Set<string>();
  for (const adId of adIds) {
    const shown = JSON.stringify(cut(adId, 200));
    if (!isId(adId, AD_ID_BYTES_MAX))
      throw invalidArgument(
        `ad_ids ${shown} is wrong: it must be 1 to ${AD_ID_BYTES_MAX} bytes without control characters`,
      );
    if (seen.has(adId)) throw invalidArgument(`ad_ids ${shown} stands there twice`);
    seen.add(adId);
  }
  for (const [field, value] of Object.entries({ from_ms: fromMs, to_ms: toMs })) {
    if (!Number.isSafeInteger(value) || value < 0 || value > TIME_MAX_MS || value % MINUTE_MS !== 0) {
      throw invalidArgument(
        `${field} ${value} is wrong: it must be milliseconds since 1970 on a whole minute (a multiple of ${MINUTE_MS})`,
      );
    }
  }
  if (toMs <= fromMs) throw invalidArgument(`to_ms ${toMs} is wrong: it must be after from_ms ${fromMs}`);
  const granularity = GRANULARITIES.find((known) => known === request.granularity);
  if (granularity === undefined) {
    throw invalidArgument(
      `granularity ${request.granularity} is wrong: it must be one of ${GRANULARITIES.join(', ')}`,
    );
  }
  const asOfMs = request.as_of_ms;
  if (asOfMs !== undefined && !(Number.isSafeInteger(asOfMs) && asOfMs > 0 && asOfMs <= TIME_MAX_MS)) {
    throw invalidArgument(`as_of_ms ${asOfMs} is wrong: it must be milliseconds since 1970`);
  }
  const minStatus = readMinStatus(request.min_status);
  return { adIds, range: { fromMs, toMs }, granularity, minStatus, asOfMs };
}

function readMinStatus(given: Request['min_status']): RowStatus {
  if (given === 'ROW_STATUS_UNSPECIFIED') return 'PROVISIONAL';
  const known = ROW_STATUSES.find((name) => name === given);
  if (known === undefined)
    throw invalidArgument(`min_status ${given} is wrong: it must be one of ${ROW_STATUSES.join(', ')}`);
  return known;
}

function toMessage(row: MergedRow, range: TimeRange, granularity: Granularity): AggregateRow {
  return {
    ad_id: row.adId,
    from_ms: Math.max(row.bucketMs, range.fromMs),
    to_ms: Math.min(bucketEnd(row.bucketMs, granularity), range.toMs),
    metrics: {
      gross_clicks: row.valid + row.repeat + row.givt + row.sivt,
      clicks: row.valid,
      repeat_clicks: row.repeat,
      general_invalid_clicks: row.givt,
      sophisticated_invalid_clicks: row.sivt,
      defective_clicks: row.defective,
      test_clicks: row.test,
    },
    status: row.status,
    revision: row.revision,
  };
}
