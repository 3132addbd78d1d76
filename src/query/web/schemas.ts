/** What the web answers, in JSON Schema (2020-12), for OpenAPI. */
import { ROW_STATUSES } from '../../domain/settlement.ts';
import { COUNTS, RATES } from './forms.ts';

export type Schema = Readonly<Record<string, unknown>>;

export const TEXT = { type: 'string' } as const;
const COUNT = { type: 'integer', minimum: 0 } as const;
const RATE = { type: 'number', minimum: 0, maximum: 1 } as const;
const FLAG = { type: 'boolean' } as const;
export const MOMENT = { type: 'string', format: 'date-time' } as const;
const MOMENT_OR_NULL = { type: ['string', 'null'], format: 'date-time' } as const;
const NUMBER_OR_NULL = { type: ['number', 'null'] } as const;
const STATUS = { $ref: '#/components/schemas/Status' } as const;

const metrics: Schema = {
  ...mapped(COUNTS, () => COUNT),
  ...mapped(RATES, () => RATE),
};

export function reference(name: keyof typeof SCHEMAS): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

function mapped<T extends object>(names: T, schema: () => Schema): Record<string, Schema> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, schema()]));
}

/** An object with just these; all are required but those of `optional`. */
function object(properties: Schema, optional: Schema = {}, description?: string): Schema {
  return {
    type: 'object',
    ...(description === undefined ? {} : { description }),
    properties: { ...properties, ...optional },
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

const list = (items: Schema) => ({ type: 'array', items });
const rowEnds = { status: STATUS, revision: COUNT };
const span = { from: MOMENT, to: MOMENT };

export const SCHEMAS = {
  Status: {
    type: 'string',
    enum: ROW_STATUSES,
    description:
      'PROVISIONAL: clicks may still arrive. SETTLED: verified by a replay; changes only with a restatement. FINAL: closed for billing.',
  },
  Freshness: object(
    {
      arrivedThrough: MOMENT_OR_NULL,
      partial: FLAG,
      missingShards: list(COUNT),
      settledThrough: MOMENT_OR_NULL,
      finalThrough: MOMENT_OR_NULL,
    },
    {},
    'Every click that was durable before arrivedThrough is counted; where partial, not those of missingShards since their last flush. Minutes before settledThrough are settled, before finalThrough final.',
  ),
  Counts: object(
    mapped(COUNTS, () => COUNT),
    mapped(RATES, () => RATE),
  ),
  SeriesPoint: object(
    { ...span, ...rowEnds },
    { minute: MOMENT, hour: MOMENT, day: MOMENT, week: MOMENT, month: MOMENT, ...metrics },
    'A row of one ad; its first moment also stands under the name of the granularity.',
  ),
  Series: object(
    {
      adId: TEXT,
      series: list({ $ref: '#/components/schemas/SeriesPoint' }),
      status: STATUS,
      freshness: { $ref: '#/components/schemas/Freshness' },
    },
    { nextPageToken: TEXT },
  ),
  Row: object(
    { group: { type: 'object', additionalProperties: TEXT }, ...span, ...rowEnds },
    { adId: TEXT, ...metrics },
  ),
  Aggregates: object(
    {
      rows: list({ $ref: '#/components/schemas/Row' }),
      status: STATUS,
      freshness: { $ref: '#/components/schemas/Freshness' },
    },
    { nextPageToken: TEXT },
  ),
  Top: object({
    entries: list(
      object(
        { value: TEXT, ...mapped(COUNTS, () => COUNT) },
        mapped(RATES, () => RATE),
      ),
    ),
    total: { $ref: '#/components/schemas/Counts' },
    status: STATUS,
    freshness: { $ref: '#/components/schemas/Freshness' },
  }),
  Side: object(
    { ...mapped(COUNTS, () => COUNT), status: STATUS },
    mapped(RATES, () => RATE),
  ),
  Comparison: object({
    left: { $ref: '#/components/schemas/Side' },
    right: { $ref: '#/components/schemas/Side' },
    difference: { type: 'integer' },
    ratio: NUMBER_OR_NULL,
    share: NUMBER_OR_NULL,
    expectedShare: RATE,
    pValue: NUMBER_OR_NULL,
    test: TEXT,
    leftFreshness: { $ref: '#/components/schemas/Freshness' },
    rightFreshness: { $ref: '#/components/schemas/Freshness' },
  }),
  Uniques: object({
    rows: list(
      object(
        {
          ...span,
          people: COUNT,
          method: { type: 'string', enum: ['EXACT', 'HYPERLOGLOG'] },
          standardError: RATE,
          summedUnions: COUNT,
        },
        { adId: TEXT, campaignId: TEXT },
      ),
    ),
    freshness: { $ref: '#/components/schemas/Freshness' },
  }),
  Changes: object(
    {
      rows: list(
        object(
          { adId: TEXT, minute: MOMENT, ...mapped(COUNTS, () => COUNT), ...rowEnds },
          mapped(RATES, () => RATE),
        ),
      ),
      freshness: { $ref: '#/components/schemas/Freshness' },
    },
    {},
    'The data of an event: minutes of ads, whole. They replace what was said of them before; those of an event named "snapshot" replace everything.',
  ),
  Ads: object(
    {
      ads: list(
        object({
          adId: TEXT,
          campaignId: TEXT,
          advertiserId: TEXT,
          status: { type: 'string', enum: ['ACTIVE', 'PAUSED'] },
        }),
      ),
    },
    { nextAfter: TEXT },
  ),
  Health: object({ status: { type: 'string', enum: ['ok', 'not ready'] } }),
  Problem: object(
    {
      type: { type: 'string', format: 'uri-reference' },
      title: TEXT,
      status: { type: 'integer', minimum: 400, maximum: 599 },
      detail: TEXT,
      code: TEXT,
    },
    { parameter: TEXT },
    'Problem details (RFC 9457). code is the name of the gRPC status, parameter the one that is wrong.',
  ),
} as const satisfies Record<string, Schema>;
