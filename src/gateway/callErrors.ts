/** What gRPC callers of the gateway are told when a call fails as a whole. */
import { status } from '@grpc/grpc-js';
import { type CallError, callError, isCallError } from '../contract/callErrors.ts';
import type { Log } from './ports.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

/** What to tell of any error; unexpected ones are logged and not shown. */
export function explainError(error: unknown, log: Log): CallError {
  if (error instanceof UnavailableError) {
    return callError(
      status.UNAVAILABLE,
      `${error.message}: send them again with the same click_ids, duplicates are recognised`,
    );
  }
  if (error instanceof OverloadedError) {
    return callError(status.RESOURCE_EXHAUSTED, `${error.message}: wait, then send them again`);
  }
  if (isCallError(error)) return error;
  log.error({ err: error }, 'a call failed');
  return callError(status.UNAVAILABLE, 'the call failed inside the gateway; it may be tried again');
}
