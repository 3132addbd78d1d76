/** What gRPC callers of the gateway are told when a call fails as a whole. */
import { type ServiceError, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Log } from './ports.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

export type GrpcError = Pick<ServiceError, 'code' | 'details'> & Error;

/** An error with a code of its own, for the caller to read. */
export function grpcError(code: status, details: string): GrpcError {
  return Object.assign(new Error(details), { code, details });
}

export function invalidArgument(details: string): GrpcError {
  return grpcError(status.INVALID_ARGUMENT, details);
}

/** What to tell of any error; unexpected ones are logged and not shown. */
export function toServiceError(error: unknown, log: Log): GrpcError {
  if (error instanceof UnavailableError) {
    return grpcError(
      status.UNAVAILABLE,
      `${error.message}: send them again with the same click_ids, duplicates are recognised`,
    );
  }
  if (error instanceof OverloadedError) {
    return grpcError(status.RESOURCE_EXHAUSTED, `${error.message}: wait, then send them again`);
  }
  if (error instanceof Error && 'code' in error && 'details' in error) return error as GrpcError;
  log.error({ err: error }, 'a call failed');
  return grpcError(status.UNAVAILABLE, 'the call failed inside the gateway; it may be tried again');
}

/** Answers a unary call with what `work` brings. */
export function answer<T>(callback: sendUnaryData<T>, log: Log, work: () => Promise<T>): void {
  work().then(
    (response) => callback(null, response),
    (error: unknown) => callback(toServiceError(error, log)),
  );
}
