/**
 * Clients of the gateway and the query service as promises, for the command line. Loopback or a private network:
 * no TLS. Every unary call has a deadline; the ingest stream has none, who uses it watches for answers.
 *
 * Errors are the ServiceErrors of grpc-js, with code and details; callError.ts says what they mean.
 */
import {
  type CallOptions,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type ServiceError,
} from '@grpc/grpc-js';
import type { BatchIngestClicksRequest } from '../../contract/generated/clickledger/v1/BatchIngestClicksRequest.ts';
import type { BatchIngestClicksResponse__Output } from '../../contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { CompareAggregatesRequest } from '../../contract/generated/clickledger/v1/CompareAggregatesRequest.ts';
import type { CompareAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import type { ExportAggregatesRequest } from '../../contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { GetAdRequest } from '../../contract/generated/clickledger/v1/GetAdRequest.ts';
import type { GetAdResponse__Output } from '../../contract/generated/clickledger/v1/GetAdResponse.ts';
import type { GetClickRequest } from '../../contract/generated/clickledger/v1/GetClickRequest.ts';
import type { GetClickResponse__Output } from '../../contract/generated/clickledger/v1/GetClickResponse.ts';
import type { IngestClickRequest } from '../../contract/generated/clickledger/v1/IngestClickRequest.ts';
import type { IngestClickResponse__Output } from '../../contract/generated/clickledger/v1/IngestClickResponse.ts';
import type { ListAdsRequest } from '../../contract/generated/clickledger/v1/ListAdsRequest.ts';
import type { ListAdsResponse__Output } from '../../contract/generated/clickledger/v1/ListAdsResponse.ts';
import type { QueryAggregatesRequest } from '../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryAggregatesResponse__Output } from '../../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import type { QueryUniquesRequest } from '../../contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import type { QueryUniquesResponse__Output } from '../../contract/generated/clickledger/v1/QueryUniquesResponse.ts';
import type { TopNRequest } from '../../contract/generated/clickledger/v1/TopNRequest.ts';
import type { TopNResponse__Output } from '../../contract/generated/clickledger/v1/TopNResponse.ts';
import type { UpsertAdsRequest } from '../../contract/generated/clickledger/v1/UpsertAdsRequest.ts';
import type { UpsertAdsResponse__Output } from '../../contract/generated/clickledger/v1/UpsertAdsResponse.ts';
import { systemClock } from '../system/clock.ts';
import { AdCatalogService, AuditService, ClickIngestService, ClickQueryService } from './contract.ts';

const CALL_DEADLINE_MS = 10_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default waits up to two minutes before it tries a server again that was restarted.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // An answer of the query service may have 50,000 rows; the default of 4 MiB is fewer.
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
};

export type IngestStream = ClientDuplexStream<BatchIngestClicksRequest, BatchIngestClicksResponse__Output>;

interface Connection {
  readonly address: string;
  /** Resolves when connected; rejects after `timeoutMs` with the address in the message. */
  ready(timeoutMs: number): Promise<void>;
  close(): void;
}

export interface IngestClient extends Connection {
  ingestClick(request: IngestClickRequest): Promise<IngestClickResponse__Output>;
  batchIngestClicks(request: BatchIngestClicksRequest): Promise<BatchIngestClicksResponse__Output>;
  streamIngestClicks(): IngestStream;
}

export interface CatalogClient extends Connection {
  upsertAds(request: UpsertAdsRequest): Promise<UpsertAdsResponse__Output>;
  getAd(request: GetAdRequest): Promise<GetAdResponse__Output>;
  listAds(request: ListAdsRequest): Promise<ListAdsResponse__Output>;
}

export interface QueryClient extends Connection {
  queryAggregates(request: QueryAggregatesRequest): Promise<QueryAggregatesResponse__Output>;
  topN(request: TopNRequest): Promise<TopNResponse__Output>;
  compareAggregates(request: CompareAggregatesRequest): Promise<CompareAggregatesResponse__Output>;
  queryUniques(request: QueryUniquesRequest): Promise<QueryUniquesResponse__Output>;
  /** Without a deadline: it takes as long as there are rows, and as the reader takes. */
  exportAggregates(request: ExportAggregatesRequest): ClientReadableStream<ExportAggregatesResponse__Output>;
}

export interface AuditClient extends Connection {
  getClick(request: GetClickRequest): Promise<GetClickResponse__Output>;
}

type Unary<Request, Answer> = (
  request: Request,
  options: CallOptions,
  callback: (error: ServiceError | null, answer?: Answer) => void,
) => unknown;

function promised<Request, Answer>(
  call: Unary<Request, Answer>,
  deadlineMs: number,
): (request: Request) => Promise<Answer> {
  return (request) =>
    new Promise((resolve, reject) => {
      call(request, { deadline: systemClock() + deadlineMs }, (error, answer) => {
        if (error !== null) reject(error);
        else if (answer === undefined)
          reject(new Error('the call ended without an error and without an answer'));
        else resolve(answer);
      });
    });
}

function connection(client: Client, address: string): Connection {
  return {
    address,
    ready: (timeoutMs) =>
      new Promise((resolve, reject) => {
        client.waitForReady(systemClock() + timeoutMs, (error) => {
          if (error === undefined) resolve();
          else reject(new Error(`no connection to ${address} within ${timeoutMs / 1_000} s`));
        });
      }),
    close: () => client.close(),
  };
}

/** @param address `host:port` */
export function ingestClient(address: string, deadlineMs = CALL_DEADLINE_MS): IngestClient {
  const client = new ClickIngestService(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    ...connection(client, address),
    ingestClick: promised((request, options, done) => client.ingestClick(request, options, done), deadlineMs),
    batchIngestClicks: promised(
      (request, options, done) => client.batchIngestClicks(request, options, done),
      deadlineMs,
    ),
    streamIngestClicks: () => client.streamIngestClicks(),
  };
}

/** @param address `host:port` */
export function catalogClient(address: string, deadlineMs = CALL_DEADLINE_MS): CatalogClient {
  const client = new AdCatalogService(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    ...connection(client, address),
    upsertAds: promised((request, options, done) => client.upsertAds(request, options, done), deadlineMs),
    getAd: promised((request, options, done) => client.getAd(request, options, done), deadlineMs),
    listAds: promised((request, options, done) => client.listAds(request, options, done), deadlineMs),
  };
}

/** @param address `host:port` */
export function queryClient(address: string, deadlineMs = CALL_DEADLINE_MS): QueryClient {
  const client = new ClickQueryService(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    ...connection(client, address),
    topN: promised((request, options, done) => client.topN(request, options, done), deadlineMs),
    compareAggregates: promised(
      (request, options, done) => client.compareAggregates(request, options, done),
      deadlineMs,
    ),
    queryAggregates: promised(
      (request, options, done) => client.queryAggregates(request, options, done),
      deadlineMs,
    ),
    queryUniques: promised(
      (request, options, done) => client.queryUniques(request, options, done),
      deadlineMs,
    ),
    exportAggregates: (request) => client.exportAggregates(request),
  };
}

/** @param address `host:port` */
export function auditClient(address: string, deadlineMs = CALL_DEADLINE_MS): AuditClient {
  const client = new AuditService(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    ...connection(client, address),
    getClick: promised((request, options, done) => client.getClick(request, options, done), deadlineMs),
  };
}
