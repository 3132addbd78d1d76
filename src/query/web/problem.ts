/** What a web client is told when a request fails: problem details (RFC 9457), with the words that gRPC callers get. */
import { status } from '@grpc/grpc-js';
import { type CallError, isCallError } from '../../contract/callErrors.ts';
import { webNames } from './webNames.ts';

export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The gRPC code's name. */
  readonly code: string;
  /** Which parameter is wrong, where one is. */
  readonly parameter?: string;
}

/** By gRPC code; what is not here is the service's own failure. */
const HTTP_STATUSES: Readonly<Record<number, readonly [number, string]>> = {
  [status.INVALID_ARGUMENT]: [400, 'Bad Request'],
  [status.OUT_OF_RANGE]: [400, 'Bad Request'],
  [status.NOT_FOUND]: [404, 'Not Found'],
  [status.FAILED_PRECONDITION]: [409, 'Conflict'],
  [status.RESOURCE_EXHAUSTED]: [429, 'Too Many Requests'],
  [status.UNIMPLEMENTED]: [501, 'Not Implemented'],
  [status.UNAVAILABLE]: [503, 'Service Unavailable'],
  [status.DEADLINE_EXCEEDED]: [504, 'Gateway Timeout'],
};
const FAILED = [500, 'Internal Server Error'] as const;
/** Those that may succeed when they are asked again. */
const PASSING = new Set([429, 503, 504]);
const RETRY_SECONDS = 1;

/** A parameter that is wrong before anybody is asked. */
export class ParameterError extends Error {
  override readonly name = 'ParameterError';
  readonly parameter: string;

  constructor(parameter: string, details: string) {
    super(details);
    this.parameter = parameter;
  }
}

/** undefined: an error that nobody foresaw. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof ParameterError)
    return { ...titled(400, 'Bad Request', 'INVALID_ARGUMENT', error.message), parameter: error.parameter };
  if (!isCallError(error)) return undefined;
  const [code, title] = HTTP_STATUSES[error.code] ?? FAILED;
  return { ...titled(code, title, status[error.code] ?? 'UNKNOWN', ''), ...inWebNames(error) };
}

/** The service's fields by the names that they have on the web; the first is the wrong one. */
function inWebNames({ details }: CallError): Pick<Problem, 'detail' | 'parameter'> {
  const { words, first } = webNames(details);
  return { detail: words, ...(first === undefined ? {} : { parameter: first }) };
}

export function titled(status: number, title: string, code: string, detail: string): Problem {
  return { type: 'about:blank', title, status, detail, code };
}

export function problemResponse(problem: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Cache-Control': 'no-store',
      ...(PASSING.has(problem.status) ? { 'Retry-After': String(RETRY_SECONDS) } : {}),
      ...headers,
    },
  });
}
