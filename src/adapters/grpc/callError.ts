/**
 * What an error of a gRPC call means to its caller: classified once, here, by what there is to do about it.
 */
import { type ServiceError, status } from '@grpc/grpc-js';

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

export function isNotFound(error: unknown): boolean {
  return isServiceError(error) && error.code === status.NOT_FOUND;
}

export function isInvalidArgument(error: unknown): boolean {
  return isServiceError(error) && error.code === status.INVALID_ARGUMENT;
}

/** How grpc-js words connections that were not made or that broke. */
const CONNECTION_TROUBLE =
  /no connection established|connection dropped|name resolution|failed to connect|econn|epipe|socket|rst_stream|goaway/i;

/** Whether the server could not be reached, or went away in the middle of the call. */
export function isConnectionTrouble(error: ServiceError): boolean {
  const { code, details } = error;
  const broken = [status.UNAVAILABLE, status.CANCELLED, status.INTERNAL, status.UNKNOWN].includes(code);
  return broken && CONNECTION_TROUBLE.test(details);
}

/**
 * - `broken`: the server went away or could not confirm; the same request may be sent again
 * - `busy`: the server holds as much as it may; the same request may be sent again after a while
 * - `final`: sending it again would change nothing
 */
export function callErrorKind(error: unknown): 'broken' | 'busy' | 'final' {
  if (!isServiceError(error)) return 'final';
  switch (error.code) {
    case status.RESOURCE_EXHAUSTED:
      return 'busy';
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.ABORTED:
      return 'broken';
    case status.CANCELLED:
    case status.INTERNAL:
    case status.UNKNOWN:
      // A process that is killed in the middle of a call shows as any of these.
      return isConnectionTrouble(error) ? 'broken' : 'final';
    default:
      return 'final';
  }
}

/** With these the service says what is wrong with the question: who asked needs no more. */
const SAYS_WHAT_IS_RIGHT = [status.INVALID_ARGUMENT, status.NOT_FOUND, status.FAILED_PRECONDITION];

/** One line for people. `service` as in "the gateway". */
export function explainCallError(error: unknown, service: string, address: string): string {
  if (!isServiceError(error))
    return `${service} at ${address}: ${error instanceof Error ? error.message : error}`;
  const details = error.details.replaceAll(/\s+/g, ' ').trim();
  if (error.code === status.UNAVAILABLE && isConnectionTrouble(error)) {
    return `cannot reach ${service} at ${address}: ${connectionTrouble(details)}; is \`./clickledger up\` running?`;
  }
  if (error.code === status.DEADLINE_EXCEEDED)
    return `${service} at ${address} did not answer in time: ${details}`;
  if (SAYS_WHAT_IS_RIGHT.includes(error.code)) return details;
  return `${service} at ${address} answered ${status[error.code]}: ${details}`;
}

/** grpc-js wraps the cause in advice about its own name resolution, and where it has none it says null. */
function connectionTrouble(details: string): string {
  const [, cause = details] = /Last error: (?:Error: )?(.*?)(?:\. Resolution note:.*)?$/.exec(details) ?? [];
  return cause === 'null' ? 'no connection' : cause;
}
