/**
 * The web of the query service: the same questions as over gRPC, as JSON, events and files, and the page that asks
 * them. Requests come in and responses go out as plain objects, so this runs without a socket.
 *
 * It only reads. It sends no CORS headers and says so to embedders: the page has its origin, programs need none, and no
 * foreign page may read counts out of a browser that can reach this address. Whoever may reach it may read all.
 */
import { status as grpcStatus } from '@grpc/grpc-js';
import { callError } from '../../contract/callErrors.ts';
import { cut } from '../../domain/limits.ts';
import type { Log } from '../ports.ts';
import { type Endpoint, type EndpointParts, endpoints } from './endpoints.ts';
import { openApi } from './openApi.ts';
import type { PageFile } from './pageFiles.ts';
import { Parameters } from './parameters.ts';
import { problemOf, problemResponse, titled } from './problem.ts';
import { reply, send, tagOf } from './reply.ts';

/** Beyond 16 KiB with the headers Bun itself refuses, with 431. Longer lists of ads are asked for over gRPC. */
const URL_LENGTH_MAX = 12 * 1_024;
const QUESTION_MS_MAX = 30_000;
/** I14: beyond, clients are asked to come again. */
const QUESTIONS_MAX = 256;
const STREAMS_MAX = 1_000;
const SHOWN_BYTES_MAX = 200;
const METHODS = 'GET, HEAD, OPTIONS';

const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

export interface WebParts extends Omit<EndpointParts, 'explain'> {
  readonly page: ReadonlyMap<string, PageFile>;
  readonly log: Log;
}

interface Route {
  readonly pattern: RegExp;
  readonly endpoint: Endpoint;
}

export class Web {
  readonly #parts: WebParts;
  readonly #routes: readonly Route[];
  readonly #description: object;
  readonly #ending = new AbortController();
  #questions = 0;
  #streams = 0;

  constructor(parts: WebParts) {
    this.#parts = parts;
    const served = endpoints({ ...parts, explain: (error) => this.#problemOf(error) });
    this.#routes = served.map((endpoint) => ({ pattern: patternOf(endpoint.path), endpoint }));
    this.#description = openApi(served);
  }

  /** Ends what is open. */
  end(): void {
    this.#ending.abort();
  }

  async handle(request: Request): Promise<Response> {
    const response = await this.#respond(request).catch((error: unknown) =>
      problemResponse(this.#problemOf(error)),
    );
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
    // Whoever asked for the head alone leaves the body unread: it must end here.
    if (request.method !== 'HEAD') return response;
    await response.body?.cancel();
    return new Response(null, { status: response.status, headers: response.headers });
  }

  /** Whether the answer stays open for as long as the client likes. */
  isStream(request: Request): boolean {
    const kind = this.#routeOf(new URL(request.url).pathname)?.endpoint.kind;
    return kind === 'events' || kind === 'file';
  }

  async #respond(request: Request): Promise<Response> {
    if (request.url.length > URL_LENGTH_MAX) {
      const detail = `the URL has ${request.url.length} characters: it may have ${URL_LENGTH_MAX}`;
      return problemResponse(titled(414, 'URI Too Long', 'INVALID_ARGUMENT', detail));
    }
    if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: { Allow: METHODS } });
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const detail = `${cut(request.method, SHOWN_BYTES_MAX)} is not served: this only reads`;
      return problemResponse(titled(405, 'Method Not Allowed', 'UNIMPLEMENTED', detail), { Allow: METHODS });
    }
    const { pathname, searchParams } = new URL(request.url);
    const file = this.#parts.page.get(pathname);
    if (file !== undefined) return pageResponse(request, file);
    switch (pathname) {
      case '/api/v1/openapi.json':
        return reply(request, this.#description);
      case '/healthz':
        return health(true);
      case '/readyz': {
        const isReady = await this.#parts.isReady();
        return health(isReady);
      }
    }
    const found = this.#routeOf(pathname);
    if (found === undefined) {
      const detail = `there is nothing at ${cut(pathname, SHOWN_BYTES_MAX)}; /api/v1/openapi.json says what there is`;
      return problemResponse(titled(404, 'Not Found', 'NOT_FOUND', detail));
    }
    const { endpoint, path } = found;
    const resumed = request.headers.get('last-event-id');
    const beside = resumed === null ? path : { ...path, 'Last-Event-ID': resumed };
    return this.#answer(request, endpoint, Parameters.read(endpoint.parameters, searchParams, beside));
  }

  #routeOf(pathname: string) {
    for (const { pattern, endpoint } of this.#routes) {
      const match = pattern.exec(pathname);
      if (match === null) continue;
      const path = Object.entries(match.groups ?? {}).map(([name, text]) => [name, decoded(text)]);
      return { endpoint, path: Object.fromEntries(path) as Record<string, string> };
    }
    return undefined;
  }

  async #answer(request: Request, endpoint: Endpoint, parameters: Parameters): Promise<Response> {
    const ending = AbortSignal.any([request.signal, this.#ending.signal]);
    if (endpoint.kind !== 'json') {
      const ended = this.#countStream();
      try {
        return await endpoint.respond({ parameters, signal: ending, ended });
      } catch (error) {
        ended();
        throw error;
      }
    }
    if (this.#questions >= QUESTIONS_MAX) throw tooMany(`${QUESTIONS_MAX} questions`);
    this.#questions++;
    try {
      const signal = AbortSignal.any([ending, AbortSignal.timeout(QUESTION_MS_MAX)]);
      return await reply(request, await endpoint.answer({ parameters, signal }));
    } finally {
      this.#questions--;
    }
  }

  /** @returns what is called when the stream has ended, once or often. */
  #countStream(): () => void {
    if (this.#streams >= STREAMS_MAX) throw tooMany(`${STREAMS_MAX} streams and downloads`);
    this.#streams++;
    let isOpen = true;
    return () => {
      if (isOpen) this.#streams--;
      isOpen = false;
    };
  }

  #problemOf(error: unknown) {
    const problem = problemOf(error);
    if (problem !== undefined) return problem;
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      const detail = `the question took longer than ${QUESTION_MS_MAX / 1_000} s: ask for less`;
      return titled(504, 'Gateway Timeout', 'DEADLINE_EXCEEDED', detail);
    }
    // Nobody hears it, and whoever leaves before the answer is no trouble to log.
    if (error instanceof DOMException && error.name === 'AbortError')
      return titled(503, 'Service Unavailable', 'CANCELLED', 'the client has gone, or the service ends');
    this.#parts.log.error({ err: error }, 'a query failed');
    return titled(503, 'Service Unavailable', 'UNAVAILABLE', 'the counts cannot be read now; ask again');
  }
}

function health(isGood: boolean): Response {
  return Response.json(
    { status: isGood ? 'ok' : 'not ready' },
    { status: isGood ? 200 : 503, headers: { 'Cache-Control': 'no-store' } },
  );
}

function tooMany(limit: string) {
  return callError(grpcStatus.UNAVAILABLE, `${limit} are open at once, and no more are served: ask again`);
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
}

/** A path that is no good percent-encoding stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function pageResponse(request: Request, { content, type }: PageFile): Promise<Response> {
  return send(request, content, {
    'Content-Type': type,
    'Cache-Control': 'no-cache',
    Vary: 'Accept-Encoding',
    ETag: tagOf(content),
  });
}
