/** ClickQueryService over gRPC: hands each call to the answers, and ends their work with the call. */
import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import { answer, type CallError, callError, isCallError } from '../contract/callErrors.ts';
import type { ClickQueryServiceHandlers } from '../contract/generated/clickledger/v1/ClickQueryService.ts';
import type { Answers } from './answers.ts';
import type { Log } from './ports.ts';

export interface QueryParts {
  readonly answers: Answers;
  readonly log: Log;
}

export function queryService({ answers, log }: QueryParts): ClickQueryServiceHandlers {
  const explain = (error: unknown) => explainError(error, log);
  const unary =
    <Request, Response>(work: (request: Request, signal: AbortSignal) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) =>
      answer(callback, explain, () => work(call.request, endOf(call)));
  const stream =
    <Request, Response>(work: (request: Request, signal: AbortSignal) => AsyncIterable<Response>) =>
    (call: ServerWritableStream<Request, Response>) => {
      writeAll(call, work(call.request, endOf(call))).catch((error: unknown) =>
        call.emit('error', explain(error)),
      );
    };
  return {
    QueryAggregates: unary((request, signal) => answers.queryAggregates(request, signal)),
    TopN: unary((request, signal) => answers.topN(request, signal)),
    CompareAggregates: unary((request, signal) => answers.compareAggregates(request, signal)),
    QueryUniques: unary((request, signal) => answers.queryUniques(request, signal)),
    StreamAggregates: stream((request, signal) => answers.streamAggregates(request, signal)),
    ExportAggregates: stream((request, signal) => answers.exportAggregates(request, signal)),
  };
}

/** Given when the caller has gone or its deadline is over, which may be before its request is here. */
function endOf(call: {
  readonly cancelled: boolean;
  once(event: 'cancelled', listener: () => void): unknown;
}): AbortSignal {
  const end = new AbortController();
  if (call.cancelled) end.abort();
  else call.once('cancelled', () => end.abort());
  return end.signal;
}

/**
 * One part at a time, each when the one before has gone out within the caller's window: a slow caller's parts are made
 * when it takes them, rather than wait for it ('drain' would let 16 of them wait).
 */
async function writeAll<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  parts: AsyncIterable<Response>,
): Promise<void> {
  let goOn = () => {};
  call.once('cancelled', () => goOn());
  for await (const part of parts) {
    if (call.cancelled) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    goOn = resolve;
    call.write(part, () => resolve());
    await promise;
  }
  call.end();
}

function explainError(error: unknown, log: Log): CallError {
  if (isCallError(error)) return error;
  // Nobody hears it.
  if (isAborted(error)) return callError(status.CANCELLED, 'the caller has gone');
  log.error({ err: error }, 'a query failed');
  return callError(status.UNAVAILABLE, 'the counts cannot be read now; ask again');
}

function isAborted(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
