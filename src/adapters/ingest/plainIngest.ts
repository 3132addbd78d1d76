/**
 * The ingest service as a gateway serves it: requests of batches are read and their replies written without the protobuf
 * library, as far as they are plain.
 */
import type { ClickIngestServiceDefinition } from '../../contract/generated/clickledger/v1/ClickIngestService.ts';
import { USER_AGENT_BYTES_MAX } from '../../domain/limits.ts';
import { BytesCache } from '../nats/bytesCache.ts';
import { type PlainBatchParts, readPlainBatch } from './plainBatch.ts';
import { writePlainReply } from './plainReply.ts';

type BatchMethod = ClickIngestServiceDefinition['BatchIngestClicks' | 'StreamIngestClicks'];

/** The same service on the wire; its handlers get a `ReadBatch` where a request is plain. */
export function plainIngest(
  service: ClickIngestServiceDefinition,
  parts: Omit<PlainBatchParts, 'userAgents'>,
): ClickIngestServiceDefinition {
  const userAgents = new BytesCache(
    (bytes) => parts.finder.ofUserAgent(bytes.toString()),
    8,
    USER_AGENT_BYTES_MAX,
  );
  const plainParts = { ...parts, userAgents };
  return {
    ...service,
    BatchIngestClicks: plain(service.BatchIngestClicks, plainParts),
    StreamIngestClicks: plain(service.StreamIngestClicks, plainParts),
  };
}

function plain<Method extends BatchMethod>(method: Method, parts: PlainBatchParts): Method {
  const decode: BatchMethod['requestDeserialize'] = method.requestDeserialize;
  const changes: Pick<BatchMethod, 'requestDeserialize' | 'responseSerialize'> = {
    requestDeserialize: (bytes) =>
      // Its handlers know both.
      (readPlainBatch(bytes, decode, parts) ?? decode(bytes)) as ReturnType<typeof decode>,
    responseSerialize: writePlainReply,
  };
  return { ...method, ...changes };
}
