/** Errors that gRPC callers are told, and how a unary call is answered. */
import { type ServiceError, type sendUnaryData, status } from '@grpc/grpc-js';

export type CallError = Pick<ServiceError, 'code' | 'details'> & Error;

/** An error with a code and words of its own, for the caller to read. */
export function callError(code: status, details: string): CallError {
  return Object.assign(new Error(details), { code, details });
}

export function invalidArgument(details: string): CallError {
  return callError(status.INVALID_ARGUMENT, details);
}

export function isCallError(error: unknown): error is CallError {
  return error instanceof Error && 'code' in error && 'details' in error;
}

/** Answers a unary call with what `work` brings, or with what `explain` makes of its error. */
export function answer<T>(
  callback: sendUnaryData<T>,
  explain: (error: unknown) => CallError,
  work: () => Promise<T>,
): void {
  work().then(
    (response) => callback(null, response),
    (error: unknown) => callback(explain(error)),
  );
}
