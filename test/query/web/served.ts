/** The web on a port of its own, with answers that a test makes up; and its description, to hold real answers against. */

import Ajv, { type ValidateFunction } from 'ajv/dist/2020.js';
import { onTestFinished } from 'vitest';
import type { Ad } from '../../../src/domain/ad.ts';
import type { Answers } from '../../../src/query/answers.ts';
import { readPageFiles } from '../../../src/query/web/pageFiles.ts';
import { Web } from '../../../src/query/web/web.ts';
import { SilentLog } from '../../support/silentLog.ts';
import { UNASKED } from '../../support/unasked.ts';

const page = readPageFiles();

export interface Description {
  readonly paths: Readonly<Record<string, { get: Operation }>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}
export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: object }[];
  readonly responses: Readonly<
    Record<string, { description: string; content?: Record<string, { schema: object }> }>
  >;
}

export interface ServedParts {
  readonly answers?: Partial<Answers>;
  readonly ads?: readonly Ad[];
  readonly isReady?: boolean;
  readonly pause?: (ms: number, stop: AbortSignal) => Promise<void>;
}

export async function served({ answers = {}, ads = [], isReady = true, pause }: ServedParts = {}) {
  const log = new SilentLog();
  const web = new Web({
    answers: { ...UNASKED, ...answers },
    listAds: (prefix, after, limit) =>
      Promise.resolve(ads.filter(({ adId }) => adId.startsWith(prefix) && adId > after).slice(0, limit)),
    isReady: () => Promise.resolve(isReady),
    pause: pause ?? (() => new Promise(() => undefined)),
    page: await page,
    log,
  });
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    development: false,
    fetch: (request) => web.handle(request),
  });
  onTestFinished(() => server.stop(true));
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    web,
    log,
    get: (path: string, options: RequestInit & { decompress?: boolean } = {}) =>
      fetch(`${url}${path}`, options),
  };
}

export async function describe(): Promise<Description> {
  const { get } = await served();
  return (await (await get('/api/v1/openapi.json')).json()) as Description;
}

/** Schemas of the description, compiled; a value that is not as described throws with what is wrong. */
export class Described {
  readonly #ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  readonly #description: Description;

  constructor(description: Description) {
    this.#description = description;
    this.#ajv.addSchema({ $id: 'api', ...description });
  }

  /** @param path as in the description */
  check(path: string, response: Response, value: unknown): void {
    const answer = this.#description.paths[path]?.get.responses;
    const told = answer?.[response.status] ?? answer?.['default'];
    const type = response.headers.get('content-type')?.split(';')[0] ?? '';
    const schema = told?.content?.[type]?.schema;
    if (schema === undefined) throw new Error(`${path} does not describe ${response.status} ${type}`);
    this.#validate(schema, value);
  }

  checkSchema(name: string, value: unknown): void {
    this.#validate({ $ref: `#/components/schemas/${name}` }, value);
  }

  #validate(schema: object, value: unknown): void {
    const validate: ValidateFunction = this.#ajv.compile(absolute(schema) as object);
    if (!validate(value))
      throw new Error(`${this.#ajv.errorsText(validate.errors)}\n${JSON.stringify(value, null, 1)}`);
  }
}

/** References of the whole document, for a schema that is taken out of it. */
function absolute(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components'));
}
