/** The web's description of itself (OpenAPI 3.1), made from the table of what is served. */
import type { Endpoint } from './endpoints.ts';
import type { Parameter } from './parameters.ts';
import { ARRIVED_HEADER } from './reply.ts';
import { reference, SCHEMAS, type Schema, TEXT } from './schemas.ts';

const PROBLEMS = {
  400: 'A parameter is wrong; `parameter` names it.',
  409: 'A minute has not got the status that is needed.',
  501: 'Not served yet.',
  429: 'As much is asked at once as may be; ask again.',
  503: 'It cannot be answered now; ask again.',
  504: 'It takes too long; ask for less.',
} as const;
const FILE = { type: 'string', contentMediaType: 'application/octet-stream' };

export function openApi(served: readonly Endpoint[]): object {
  const paths = served.map((endpoint) => [endpoint.path, { get: operation(endpoint) }]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'clickledger',
      version: '1',
      description:
        'Counts of ad clicks, as exact as the gRPC query service gives them: the same questions, checks and errors.',
    },
    servers: [{ url: '/' }],
    paths: {
      ...Object.fromEntries(paths),
      '/api/v1/openapi.json': { get: plain('getDescription', 'This description.', { type: 'object' }) },
      '/healthz': { get: plain('getHealth', 'Whether the process runs.', reference('Health')) },
      '/readyz': {
        get: {
          ...plain('getReadiness', 'Whether it can answer.', reference('Health')),
          responses: {
            200: json('It can.', reference('Health')),
            503: json('What it needs does not answer.', reference('Health')),
          },
        },
      },
    },
    components: { schemas: SCHEMAS },
  };
}

function operation(endpoint: Endpoint): object {
  const { name, summary, parameters } = endpoint;
  return {
    operationId: name,
    summary,
    parameters: parameters.map(described),
    responses: {
      200: success(endpoint),
      ...(endpoint.kind === 'json'
        ? { 304: { description: 'The client has this answer (If-None-Match).' } }
        : {}),
      ...Object.fromEntries(Object.entries(PROBLEMS).map(([code, words]) => [code, problem(words)])),
      default: problem('Any other failure.'),
    },
  };
}

function success(endpoint: Endpoint): object {
  switch (endpoint.kind) {
    case 'json':
      return {
        ...json('The answer.', endpoint.schema),
        headers: {
          ETag: { description: 'Of all but arrivedThrough.', schema: TEXT },
          [ARRIVED_HEADER]: { description: 'arrivedThrough, with a 304 too.', schema: TEXT },
        },
      };
    case 'events':
      return {
        description: 'Events, each with the data described; the id goes on from there.',
        content: { 'text/event-stream': { schema: { ...TEXT, contentSchema: reference('Changes') } } },
      };
    case 'file':
      return {
        description: 'The file.',
        content: {
          'text/csv': { schema: TEXT },
          'application/x-ndjson': { schema: TEXT },
          'application/vnd.apache.parquet': { schema: FILE },
        },
      };
  }
}

function described({ explode, ...parameter }: Parameter): object {
  return explode === undefined ? parameter : { ...parameter, style: 'form', explode };
}

function plain(operationId: string, summary: string, schema: Schema): object {
  return { operationId, summary, responses: { 200: json('The answer.', schema) } };
}

function json(description: string, schema: Schema): object {
  return { description, content: { 'application/json': { schema } } };
}

function problem(description: string): object {
  return { description, content: { 'application/problem+json': { schema: reference('Problem') } } };
}
