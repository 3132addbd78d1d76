/** The parameters that may be asked for, and the requests of the contract that they make. */
import type { CompareAggregatesRequest__Output as CompareRequest } from '../../contract/generated/clickledger/v1/CompareAggregatesRequest.ts';
import type { Filter__Output as Filter } from '../../contract/generated/clickledger/v1/Filter.ts';
import type { QueryAggregatesRequest__Output as AggregatesRequest } from '../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import type { QueryUniquesRequest__Output as UniquesRequest } from '../../contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import type { Side__Output as Side } from '../../contract/generated/clickledger/v1/Side.ts';
import type { TopNRequest__Output as TopRequest } from '../../contract/generated/clickledger/v1/TopNRequest.ts';
import { DIMENSIONS } from '../../domain/dimensions.ts';
import { COUNTS, metricOf, RATES } from './forms.ts';
import { type Parameter, type Parameters, shown } from './parameters.ts';
import { ParameterError } from './problem.ts';
import { sided } from './webNames.ts';

const INT32_MAX = 2 ** 31 - 1;
const TEXT = { type: 'string' };
/** Either way of writing a moment. */
const MOMENT = {
  oneOf: [
    { type: 'string', format: 'date-time' },
    { type: 'string', format: 'date' },
    { type: 'integer', minimum: 0 },
  ],
};
const AD_DIMENSIONS = ['ad_id', 'campaign_id', 'advertiser_id'];
const METRICS = Object.keys({ ...COUNTS, ...RATES });

function query(name: string, description: string, schema: Parameter['schema'] = TEXT): Parameter {
  return { name, in: 'query', description, schema };
}

/** Given by repeating the name. */
function repeated(name: string, description: string): Parameter {
  return { ...query(name, description, { type: 'array', items: TEXT }), explode: true };
}

/** Given by repeating the name, or with commas. */
function names(name: string, description: string, values: readonly string[]): Parameter {
  return { ...query(name, description, { type: 'array', items: { ...TEXT, enum: values } }), explode: false };
}

const required = (parameter: Parameter): Parameter => ({ ...parameter, required: true });

export const AD_IN_PATH: Parameter = {
  name: 'adId',
  in: 'path',
  required: true,
  description: 'The ad.',
  schema: TEXT,
  example: 'shoes',
};
const FROM = required(
  query(
    'from',
    'First moment: ISO 8601 with Z or an offset (a date alone: of UTC), or milliseconds since 1970.',
    MOMENT,
  ),
);
const TO = required(query('to', 'First moment after the range, likewise.', MOMENT));
const TIME_ZONE = query(
  'timeZone',
  'Whose hours, days, weeks and months, such as Asia/Kathmandu. Left out: UTC.',
);
const GRANULARITIES = ['minute', 'hour', 'day', 'week', 'month'];
const GRANULARITY = required(
  query('granularity', 'The width of a row; in capitals or not.', { ...TEXT, enum: GRANULARITIES }),
);
const ADS = [
  repeated(
    'adId',
    'An ad; may be repeated. Of adId, campaignId and advertiserId one is given, or none: all ads.',
  ),
  repeated('campaignId', 'A campaign; may be repeated.'),
  repeated('advertiserId', 'An advertiser; may be repeated.'),
];
const FILTERS = [
  repeated(
    'include',
    'dimension:value, such as country:NP. Clicks with one of the values pass; "country:" stands for an unknown one.',
  ),
  repeated('exclude', 'dimension:value, such as device_type:tablet. Clicks with it do not pass.'),
];
const SHAPE = [
  FROM,
  TO,
  GRANULARITY,
  TIME_ZONE,
  names('metrics', 'Which counts and rates to answer. Left out: all.', METRICS),
  query('minStatus', 'The least status that every minute must have; otherwise 409.', {
    ...TEXT,
    enum: ['provisional', 'settled', 'final'],
  }),
  query('asOf', 'The counts as they stood at this moment.', MOMENT),
  query('orderBy', 'time (the default), or the name of a metric; with " desc" behind it the largest first.'),
  query('pageSize', 'At most so many rows in an answer.', { type: 'integer', minimum: 1 }),
  query('pageToken', 'nextPageToken of the page before.'),
  query('fill', 'Rows of zeros too, where nothing was counted.', { type: 'boolean' }),
];
const GROUP_BY = names('groupBy', 'What rows are divided by, besides time; or total.', [
  'total',
  ...AD_DIMENSIONS,
  ...DIMENSIONS,
]);
const ONE_METRIC = query('metric', 'A count. Left out: clicks.', { ...TEXT, enum: Object.keys(COUNTS) });

export const SERIES = [AD_IN_PATH, ...SHAPE, ...FILTERS];
export const AGGREGATES = [...ADS, ...SHAPE, GROUP_BY, ...FILTERS];
export const TOP = [
  required(query('dimension', 'What is ranked.', { ...TEXT, enum: [...AD_DIMENSIONS, ...DIMENSIONS] })),
  ONE_METRIC,
  query('n', 'How many. Left out: 10.', { type: 'integer', minimum: 1, maximum: 1_000 }),
  FROM,
  TO,
  ...ADS,
  ...FILTERS,
];
const SIDES = ['left', 'right'] as const;
export const COMPARISON = [
  ...SIDES.flatMap((side) =>
    [
      ...ADS,
      FROM,
      TO,
      ...FILTERS,
      query('exposure', 'What the side had to get clicks with, such as impressions; both sides or none.', {
        type: 'number',
        exclusiveMinimum: 0,
      }),
    ].map((parameter) => ({ ...parameter, name: sided(side, parameter.name) })),
  ),
  ONE_METRIC,
];
export const UNIQUES = [...ADS.slice(0, 2), FROM, TO, GRANULARITY, TIME_ZONE];
export const EXPORT = [
  required(query('format', 'What the file is.', { ...TEXT, enum: ['csv', 'ndjson', 'parquet'] })),
  ...AGGREGATES.filter(({ name }) => !['orderBy', 'pageSize', 'pageToken', 'asOf'].includes(name)),
];
export const STREAM = [
  required(repeated('adId', 'An ad; may be repeated, up to 100 of them.')),
  FROM,
  {
    name: 'Last-Event-ID',
    in: 'header',
    description:
      'The id of the last event that was received: only what changed since is told. Browsers send it.',
    schema: TEXT,
  } satisfies Parameter,
];
export const ADS_LISTED = [
  query('search', 'What the id begins with.'),
  query('after', 'Ads after this one: nextAfter of the answer before.'),
  query('limit', 'At most so many. Left out: 50.', { type: 'integer', minimum: 1, maximum: 500 }),
];

/** @param adIds undefined: those that the parameters name */
export function aggregatesRequest(asked: Parameters, adIds?: readonly string[]): AggregatesRequest {
  return {
    ad_ids: adIds === undefined ? asked.texts('adId') : [...adIds],
    campaign_ids: asked.texts('campaignId'),
    advertiser_ids: asked.texts('advertiserId'),
    from_ms: asked.time('from'),
    to_ms: asked.time('to'),
    granularity: asked.word('granularity') as AggregatesRequest['granularity'],
    min_status: (asked.word('minStatus') || 'ROW_STATUS_UNSPECIFIED') as AggregatesRequest['min_status'],
    ...(asked.has('asOf') ? { as_of_ms: asked.time('asOf') } : {}),
    time_zone: asked.text('timeZone'),
    group_by: asked.names('groupBy'),
    filters: filters(asked),
    metrics: asked.names('metrics').map(metricOf),
    order_by: asked.text('orderBy').replace(/^\S+/, metricOf),
    page_size: asked.wholeNumber('pageSize', INT32_MAX),
    page_token: asked.text('pageToken'),
    fill: asked.flag('fill'),
  };
}

export function topRequest(asked: Parameters): TopRequest {
  return {
    dimension: asked.text('dimension'),
    metric: metricOf(asked.text('metric')),
    n: asked.wholeNumber('n', INT32_MAX),
    from_ms: asked.time('from'),
    to_ms: asked.time('to'),
    ad_ids: asked.texts('adId'),
    campaign_ids: asked.texts('campaignId'),
    advertiser_ids: asked.texts('advertiserId'),
    filters: filters(asked),
  };
}

export function compareRequest(asked: Parameters): CompareRequest {
  const [left, right] = SIDES.map((side): Side => {
    const exposure = sided(side, 'exposure');
    return {
      ad_ids: asked.texts(sided(side, 'adId')),
      campaign_ids: asked.texts(sided(side, 'campaignId')),
      advertiser_ids: asked.texts(sided(side, 'advertiserId')),
      from_ms: asked.time(sided(side, 'from')),
      to_ms: asked.time(sided(side, 'to')),
      filters: filters(asked, (name) => sided(side, name)),
      ...(asked.has(exposure) ? { exposure: asked.number(exposure) } : {}),
    };
  });
  return { left: left ?? null, right: right ?? null, metric: metricOf(asked.text('metric')) };
}

export function uniquesRequest(asked: Parameters): UniquesRequest {
  return {
    ad_ids: asked.texts('adId'),
    campaign_ids: asked.texts('campaignId'),
    from_ms: asked.time('from'),
    to_ms: asked.time('to'),
    granularity: asked.word('granularity') as UniquesRequest['granularity'],
    time_zone: asked.text('timeZone'),
  };
}

/** One filter a dimension, as the contract wants them. */
function filters(asked: Parameters, named = (name: string) => name): Filter[] {
  const byDimension = new Map<string, Filter>();
  for (const kind of ['include', 'exclude'] as const) {
    for (const text of asked.texts(named(kind))) {
      const colon = text.indexOf(':');
      if (colon < 1)
        throw new ParameterError(
          named(kind),
          `${named(kind)} ${shown(text)} is wrong: it must be a dimension, a colon and a value, such as country:NP`,
        );
      const dimension = text.slice(0, colon);
      const filter = byDimension.get(dimension) ?? { dimension, include: [], exclude: [] };
      byDimension.set(dimension, filter);
      filter[kind].push(text.slice(colon + 1));
    }
  }
  return [...byDimension.values()];
}
