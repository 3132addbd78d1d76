/**
 * Looks how many clicks a request holds before it is decoded: 4 MB can hold two million empty clicks, of which each
 * would become an object and a refusal (I14). Such a request is handed on without its clicks, with their number.
 */
import type { MethodDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { CLICKS_A_REQUEST_READ_MAX } from '../../domain/limits.ts';

/** Field 2 of BatchIngestClicksRequest, length-delimited. */
const CLICKS_TAG = (2 << 3) | 2;

/** What is handed on instead; the gateway refuses the call. */
interface UnreadBatch {
  readonly source: '';
  readonly clicks: readonly [];
  readonly unread_clicks: number;
}

/** Makes a method of BatchIngestClicksRequests read only what it can bear. */
export function boundBatch<Request, Reply>(method: MethodDefinition<Request, Reply>): void {
  const decode = method.requestDeserialize;
  method.requestDeserialize = (bytes) => {
    const clicks = countClicks(bytes);
    if (clicks <= CLICKS_A_REQUEST_READ_MAX) return decode(bytes);
    const unread: UnreadBatch = { source: '', clicks: [], unread_clicks: clicks };
    return unread as Request;
  };
}

function countClicks(bytes: Buffer): number {
  const reader = protobuf.Reader.create(bytes);
  let clicks = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === CLICKS_TAG) clicks += 1;
    reader.skipType(tag & 7);
  }
  return clicks;
}
