/** ClickQueryService: answers counts. Checks the request, names the wrong field. */
import { status } from '@grpc/grpc-js';
import { answer, type CallError, callError, invalidArgument, isCallError } from '../contract/callErrors.ts';
import type { AggregateRow } from '../contract/generated/clickledger/v1/AggregateRow.ts';
import type { ClickQueryServiceHandlers } from '../contract/generated/clickledger/v1/ClickQueryService.ts';
import type { QueryAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { bucketEnd, GRANULARITIES, type Granularity } from '../domain/granularity.ts';
import { AD_ID_BYTES_MAX, cut, isId } from '../domain/limits.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import type { AggregateReader } from './aggregateReader.ts';
import type { MergedRow } from './mergedAggregates.ts';
import type { Log, TimeRange } from './ports.ts';

const ADS_MAX = 1_000;
const ROWS_MAX = 50_000;
/** Beyond the year 275760 JavaScript has no dates. */
const TIME_MAX_MS = 8.64e15;

export interface QueryParts {
  readonly reader: AggregateReader;
  readonly log: Log;
}

export function queryService({ reader, log }: QueryParts): ClickQueryServiceHandlers {
  const explain = (error: unknown) => explainError(error, log);
  return {
    QueryAggregates: (call, callback) => {
      answer(callback, explain, async () => {
        const { adIds, range, granularity } = readRequest(call.request);
        const merged = await reader.read(adIds, range, granularity, ROWS_MAX + 1);
        if (merged.rows.length > ROWS_MAX) {
          throw invalidArgument(
            `the answer has more than ${ROWS_MAX} rows: ask for fewer ad_ids, a shorter range, or a coarser granularity`,
          );
        }
        const { arrivedThroughMs, missingShards } = merged;
        return {
          rows: merged.rows.map((row) => toMessage(row, range, granularity)),
          info: {
            arrived_through_ms: Math.floor(arrivedThroughMs),
            partial: missingShards.length > 0,
            missing_shards: missingShards,
          },
        };
      });
    },
  };
}

function readRequest(request: Request): { adIds: string[]; range: TimeRange; granularity: Granularity } {
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
  return { adIds, range: { fromMs, toMs }, granularity };
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
    status: 'PROVISIONAL',
  };
}

function explainError(error: unknown, log: Log): CallError {
  if (isCallError(error)) return error;
  log.error({ err: error }, 'a query failed');
  return callError(status.UNAVAILABLE, 'the counts cannot be read now; ask again');
}
