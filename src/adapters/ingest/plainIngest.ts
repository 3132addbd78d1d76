/**
 * The ingest service as a gateway serves it: requests of batches are read and their replies written without the protobuf
 * library, as far as they are plain.
 */
import type { ClickIngestServiceDefinition } from '../../contract/generated/clickledger/v1/ClickIngestService.ts';
import { type PlainBatchParts, readPlainBatch } from './plainBatch.ts';
import { writePlainReply } from './plainReply.ts';

type BatchMethod = ClickIngestServiceDefinition['BatchIngestClicks' | 'StreamIngestClicks'];

/** The same service on the wire; its handlers get a `ReadBatch` where a request is plain. */
export function plainIngest(
  service: ClickIngestServiceDefinition,
  parts: PlainBatchParts,
): ClickIngestServiceDefinition {
  return {
    ...service,
    BatchIngestClicks: plain(service.BatchIngestClicks, parts),
    StreamIngestClicks: plain(service.StreamIngestClicks, parts),
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
