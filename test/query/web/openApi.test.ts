/** The description is held against the server: every path, every parameter, every kind of answer. */
import { status } from '@grpc/grpc-js';
import { beforeEach, expect, describe as group, test } from 'vitest';
import { callError } from '../../../src/contract/callErrors.ts';
import type { Answers } from '../../../src/query/answers.ts';
import { Described, type Description, describe, served } from './served.ts';

const MS = Date.UTC(2024, 2, 1);
const metrics = {
  gross_clicks: 4,
  clicks: 1,
  repeat_clicks: 1,
  general_invalid_clicks: 1,
  sophisticated_invalid_clicks: 1,
  defective_clicks: 1,
  test_clicks: 1,
  repeat_rate: 0.25,
  invalid_rate: 0.5,
};
const info = { arrived_through_ms: MS, partial: true, missing_shards: [3], settled_through_ms: MS };
const row = {
  ad_id: 'shoes',
  from_ms: MS,
  to_ms: MS + 60_000,
  metrics,
  status: 'FINAL' as const,
  revision: 1,
  group: [{ dimension: 'country', value: 'NP' }],
};
const ANSWERS: Answers = {
  queryAggregates: () => Promise.resolve({ rows: [row], info, next_page_token: 'more' }),
  topN: () => Promise.resolve({ entries: [{ value: '', metrics }], total: metrics, info, status: 'SETTLED' }),
  compareAggregates: () =>
    Promise.resolve({
      left: metrics,
      right: metrics,
      difference: -1,
      expected_share: 0.5,
      test: 'exact binomial',
      left_info: info,
      right_info: info,
      left_status: 'FINAL',
      right_status: 'PROVISIONAL',
    }),
  queryUniques: () =>
    Promise.resolve({
      rows: [
        {
          ad_id: 'shoes',
          from_ms: MS,
          to_ms: MS + 60_000,
          people: 3,
          method: 'HYPERLOGLOG',
          standard_error: 0.01,
          summed_unions: 2,
        },
      ],
      info,
    }),
  async *streamAggregates() {
    yield { snapshot: true, rows: [row], info, resume_token: 't1' };
  },
  async *exportAggregates() {
    yield { chunk: Buffer.from('a,b\n') };
  },
};
const ADS = [
  { adId: 'shoes', campaignId: '', advertiserId: 'v', destinationUrl: 'https://a.example', status: 'PAUSED' },
] as const;
const NOT_NOW = Object.fromEntries(
  Object.keys(ANSWERS).map((name) => [
    name,
    () => {
      throw callError(status.UNAVAILABLE, 'not now');
    },
  ]),
);

let description: Description;
let described: Described;

beforeEach(async () => {
  description = await describe();
  described = new Described(description);
});

/** A value that the schema of a parameter allows. */
function valueFor({ name, schema }: { name: string; schema: Record<string, unknown> }): string {
  const items = (schema['items'] ?? schema) as { enum?: string[] };
  if (items.enum !== undefined) return items.enum.at(-1) ?? '';
  if (schema['oneOf'] !== undefined) return '2024-03-01T00:00:00.000Z';
  if (schema['type'] === 'boolean') return 'true';
  if (schema['type'] === 'integer' || schema['type'] === 'number') return '5';
  return /clude$/i.test(name) ? 'country:NP' : 'shoes';
}

type DescribedParameter = { name: string; in: string; required?: boolean; schema: Record<string, unknown> };

/** A URL with these parameters. */
function urlFor(path: string, parameters: readonly DescribedParameter[]): string {
  const query = parameters
    .filter((one) => one.in === 'query')
    .map((one) => `${one.name}=${encodeURIComponent(valueFor(one))}`);
  return `${path.replace('{adId}', 'shoes')}?${query.join('&')}`;
}

const parametersOf = (path: string) =>
  (description.paths[path]?.get.parameters ?? []) as unknown as DescribedParameter[];

group('the description', () => {
  test('is the one in docs/openapi.json', async () => {
    await expect(`${JSON.stringify(description, null, 2)}\n`).toMatchFileSnapshot(
      '../../../docs/openapi.json',
    );
  });

  test('has no reference that leads nowhere, and no operation twice', async () => {
    const references = [...JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, name = ''] of references) expect(description.components.schemas).toHaveProperty(name);
    const used = new Set(references.map(([, name]) => name));
    expect([...used].sort()).toEqual(Object.keys(description.components.schemas).sort());
    const ids = Object.values(description.paths).map(({ get }) => get.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('every path answers as described: with all parameters, with the needed ones, and where it cannot', async () => {
    const good = await served({ answers: ANSWERS, ads: ADS });
    const bad = await served({ answers: NOT_NOW });
    const kinds = new Set<string>();
    for (const path of Object.keys(description.paths)) {
      const all = parametersOf(path);
      const needed = all.filter(({ required }) => required);
      for (const parameters of [all, needed]) {
        const response = await good.get(urlFor(path, parameters));
        expect([path, response.status]).toEqual([path, 200]);
        const type = response.headers.get('content-type')?.split(';')[0] ?? '';
        kinds.add(type);
        if (type === 'text/event-stream') described.checkSchema('Changes', await firstData(response));
        else
          described.check(
            path,
            response,
            type === 'application/json' ? await response.json() : await response.text(),
          );
      }
      if (!path.startsWith('/api/v1/a') && needed.length === 0) continue;
      const unknown = await good.get(`${urlFor(path, needed)}&nothing=1`);
      expect([path, unknown.status]).toEqual([path, 400]);
      described.check(path, unknown, await unknown.json());
      if (path === '/api/v1/ads') continue;
      const away = await bad.get(urlFor(path, needed));
      expect([path, away.status]).toEqual([path, 503]);
      described.check(path, away, await away.json());
    }
    expect([...kinds].sort()).toEqual([
      'application/json',
      'application/vnd.apache.parquet',
      'text/event-stream',
    ]);
  });

  test('every parameter that is described as needed is needed, and the others are not', async () => {
    const { get } = await served({ answers: ANSWERS, ads: ADS });
    let needed = 0;
    for (const path of Object.keys(description.paths)) {
      const all = parametersOf(path).filter((one) => one.in === 'query');
      for (const parameter of all) {
        const response = await get(
          urlFor(
            path,
            all.filter((one) => one !== parameter),
          ),
        );
        const expected = parameter.required ? 400 : 200;
        expect([path, parameter.name, response.status]).toEqual([path, parameter.name, expected]);
        if (parameter.required) {
          needed++;
          expect(await response.json()).toMatchObject({ parameter: parameter.name });
        } else await response.body?.cancel();
      }
    }
    expect(needed).toBeGreaterThan(15);
  });

  test('a value that is not as described is noticed', async () => {
    const { get } = await served({ answers: ANSWERS });
    const path = '/api/v1/top';
    const response = await get(urlFor(path, parametersOf(path)));
    const answer = (await response.json()) as Record<string, unknown>;
    described.check(path, response, answer);
    expect(() => described.check(path, response, { ...answer, more: 1 })).toThrow(/additional/);
    expect(() => described.check(path, response, { ...answer, status: 'GOOD' })).toThrow(/allowed values/);
  });
});

/** The data of the first event. */
async function firstData(response: Response): Promise<unknown> {
  const [, data = ''] = /^data: (.*)$/m.exec(await response.text()) ?? [];
  return JSON.parse(data);
}
