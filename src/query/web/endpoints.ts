/**
 * Every path of the web, in one table: what may be asked, who answers, and how OpenAPI describes it. Nothing is served
 * that is not in the description.
 */
import type { StreamAggregatesRequest__Output as StreamRequest } from '../../contract/generated/clickledger/v1/StreamAggregatesRequest.ts';
import type { Answers } from '../answers.ts';
import type { ListAds } from '../ports.ts';
import {
  ADS_LISTED,
  AGGREGATES,
  aggregatesRequest,
  COMPARISON,
  compareRequest,
  EXPORT,
  SERIES,
  STREAM,
  TOP,
  topRequest,
  UNIQUES,
  uniquesRequest,
} from './declared.ts';
import { download, type FORMATS } from './download.ts';
import { eventStream } from './eventStream.ts';
import {
  comparisonForm,
  freshnessForm,
  groupedRowForm,
  leastStatus,
  rowForm,
  topForm,
  uniquesForm,
} from './forms.ts';
import type { Parameter, Parameters } from './parameters.ts';
import { reference, type Schema } from './schemas.ts';

const ADS_LIMIT = 50;
const ADS_LIMIT_MAX = 500;

export interface Asked {
  readonly parameters: Parameters;
  /** Given when the client has gone, took too long, or the process ends. */
  readonly signal: AbortSignal;
}

/** An answer that goes on after its beginning. */
interface AskedStream extends Asked {
  /** To be called when nothing more comes. */
  readonly ended: () => void;
}

interface Described {
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
}

export type Endpoint = Described &
  (
    | { readonly kind: 'json'; readonly schema: Schema; readonly answer: (asked: Asked) => Promise<object> }
    /** Open until the client goes. */
    | { readonly kind: 'events'; readonly respond: (asked: AskedStream) => Promise<Response> }
    | { readonly kind: 'file'; readonly respond: (asked: AskedStream) => Promise<Response> }
  );

export interface EndpointParts {
  readonly answers: Answers;
  readonly listAds: ListAds;
  readonly isReady: () => Promise<boolean>;
  readonly pause: (ms: number, stop: AbortSignal) => Promise<void>;
  /** What to tell a client that has got the beginning of its answer already. */
  readonly explain: (error: unknown) => object;
}

export function endpoints({ answers, listAds, pause, explain }: EndpointParts): readonly Endpoint[] {
  return [
    {
      path: '/api/v1/ads/{adId}/aggregates',
      name: 'getSeries',
      summary: 'The counts of one ad over a time range, a point a minute, hour, day, week or month.',
      parameters: SERIES,
      kind: 'json',
      schema: reference('Series'),
      answer: async ({ parameters, signal }) => {
        const adId = parameters.text('adId');
        const request = aggregatesRequest(parameters, [adId]);
        const answer = await answers.queryAggregates(request, signal);
        const beginning = request.granularity.toLowerCase();
        const series = (answer.rows ?? []).map((row) => {
          const form = rowForm(row, request.metrics);
          return { [beginning]: form.from, ...form };
        });
        return { adId, series, ...ending(answer, request.to_ms) };
      },
    },
    {
      path: '/api/v1/aggregates',
      name: 'queryAggregates',
      summary: 'Counts over a time range, by ads, campaigns, advertisers and dimensions.',
      parameters: AGGREGATES,
      kind: 'json',
      schema: reference('Aggregates'),
      answer: async ({ parameters, signal }) => {
        const request = aggregatesRequest(parameters);
        const answer = await answers.queryAggregates(request, signal);
        const rows = (answer.rows ?? []).map((row) => groupedRowForm(row, request.metrics));
        return { rows, ...ending(answer, request.to_ms) };
      },
    },
    {
      path: '/api/v1/top',
      name: 'topN',
      summary: 'The values of a dimension, or the ads, that have most of a metric.',
      parameters: TOP,
      kind: 'json',
      schema: reference('Top'),
      answer: async ({ parameters, signal }) => topForm(await answers.topN(topRequest(parameters), signal)),
    },
    {
      path: '/api/v1/compare',
      name: 'compareAggregates',
      summary: 'Two ranges, or two sets of ads, against each other.',
      parameters: COMPARISON,
      kind: 'json',
      schema: reference('Comparison'),
      answer: async ({ parameters, signal }) =>
        comparisonForm(await answers.compareAggregates(compareRequest(parameters), signal)),
    },
    {
      path: '/api/v1/uniques',
      name: 'queryUniques',
      summary: 'How many different people clicked.',
      parameters: UNIQUES,
      kind: 'json',
      schema: reference('Uniques'),
      answer: async ({ parameters, signal }) =>
        uniquesForm(await answers.queryUniques(uniquesRequest(parameters), signal)),
    },
    {
      path: '/api/v1/export',
      name: 'exportAggregates',
      summary:
        'All rows of a question as a file. A download that fails midway is cut off: it never looks complete.',
      parameters: EXPORT,
      kind: 'file',
      respond: ({ parameters, signal, ended }) => {
        const format = parameters.word('format');
        const request = { query: aggregatesRequest(parameters), format: format as keyof typeof FORMATS };
        return download(answers.exportAggregates(request, signal), format, { ended, explain });
      },
    },
    {
      path: '/api/v1/stream',
      name: 'streamAggregates',
      summary:
        'Minutes of ads as they change, as Server-Sent Events: "snapshot" replaces all, "change" what it names; "problem" is why the stream ends.',
      parameters: STREAM,
      kind: 'events',
      respond: ({ parameters, signal, ended }) => {
        const request: StreamRequest = {
          ad_ids: parameters.texts('adId'),
          from_ms: parameters.time('from'),
          resume_token: parameters.text('Last-Event-ID'),
        };
        const changes = (stop: AbortSignal) => answers.streamAggregates(request, stop);
        return eventStream(changes, { signal, ended, pause, explain });
      },
    },
    {
      path: '/api/v1/ads',
      name: 'listAds',
      summary: 'Ads of the catalog, by their ids.',
      parameters: ADS_LISTED,
      kind: 'json',
      schema: reference('Ads'),
      answer: async ({ parameters }) => {
        const limit = parameters.wholeNumber('limit', ADS_LIMIT_MAX) || ADS_LIMIT;
        const found = await listAds(parameters.id('search'), parameters.id('after'), limit);
        const ads = found.map(({ adId, campaignId, advertiserId, status }) => ({
          adId,
          campaignId,
          advertiserId,
          status,
        }));
        const last = found.length === limit ? found.at(-1) : undefined;
        return { ads, ...(last === undefined ? {} : { nextAfter: last.adId }) };
      },
    },
  ];
}

function ending(answer: Awaited<ReturnType<Answers['queryAggregates']>>, toMs: number) {
  const { info, next_page_token: nextPageToken } = answer;
  return {
    status: leastStatus(answer, toMs),
    freshness: freshnessForm(info),
    ...(nextPageToken ? { nextPageToken } : {}),
  };
}
