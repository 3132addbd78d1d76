/**
 * The questions of ClickQueryService, whoever asks them: gRPC calls, the web's requests, or each other. Each checks its
 * request, stops its work when `signal` is given, and fails with a CallError that names what is wrong.
 */
import type { CompareAggregatesRequest__Output as CompareRequest } from '../contract/generated/clickledger/v1/CompareAggregatesRequest.ts';
import type { CompareAggregatesResponse as Comparison } from '../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import type { ExportAggregatesRequest__Output as ExportRequest } from '../contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportAggregatesResponse as ExportPart } from '../contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { QueryAggregatesRequest__Output as AggregatesRequest } from '../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryAggregatesResponse as Aggregates } from '../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import type { QueryUniquesRequest__Output as UniquesRequest } from '../contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import type { QueryUniquesResponse as Uniques } from '../contract/generated/clickledger/v1/QueryUniquesResponse.ts';
import type { StreamAggregatesRequest__Output as StreamRequest } from '../contract/generated/clickledger/v1/StreamAggregatesRequest.ts';
import type { StreamAggregatesResponse as Changes } from '../contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import type { TopNRequest__Output as TopRequest } from '../contract/generated/clickledger/v1/TopNRequest.ts';
import type { TopNResponse as Top } from '../contract/generated/clickledger/v1/TopNResponse.ts';

export interface Answers {
  queryAggregates(request: AggregatesRequest, signal: AbortSignal): Promise<Aggregates>;
  topN(request: TopRequest, signal: AbortSignal): Promise<Top>;
  compareAggregates(request: CompareRequest, signal: AbortSignal): Promise<Comparison>;
  queryUniques(request: UniquesRequest, signal: AbortSignal): Promise<Uniques>;
  /** Ends when `signal` is given. Whoever reads slowly gets the changes since, merged: nothing waits for it. */
  streamAggregates(request: StreamRequest, signal: AbortSignal): AsyncIterable<Changes>;
  exportAggregates(request: ExportRequest, signal: AbortSignal): AsyncIterable<ExportPart>;
}
