/**
 * The answers with a bound and a meter, whoever asks: over gRPC or the web. Beyond the bound a question is refused at once,
 * rather than left to wait for a connection to PostgreSQL together with all others (I14). Streams and exports have bounds
 * of their own.
 */
import { status } from '@grpc/grpc-js';
import { callError, isCallError } from '../contract/callErrors.ts';
import type { Answers } from './answers.ts';

/** Questions in hand, those included that wait for one of the few connections to PostgreSQL. */
const QUESTIONS_MAX = 256;

export type QueryMethod =
  | 'QueryAggregates'
  | 'TopN'
  | 'CompareAggregates'
  | 'QueryUniques'
  | 'StreamAggregates'
  | 'ExportAggregates';

export interface Meter {
  /** A call has begun. @returns to be called with its code and rows when it has ended */
  begun(method: QueryMethod): (code: string, rows: number) => void;
}

type Unary<Request, Response> = (request: Request, signal: AbortSignal) => Promise<Response>;

type Streaming<Request, Response> = (request: Request, signal: AbortSignal) => AsyncIterable<Response>;

export function meteredAnswers(answers: Answers, meter: Meter, questionsMax = QUESTIONS_MAX): Answers {
  let questions = 0;
  const unary =
    <Request, Response>(
      method: QueryMethod,
      rowsOf: (response: Response) => number,
      work: Unary<Request, Response>,
    ): Unary<Request, Response> =>
    async (request, signal) => {
      const ended = meter.begun(method);
      let code = codeOf(status.RESOURCE_EXHAUSTED);
      let rows = 0;
      try {
        if (questions >= questionsMax) {
          throw callError(
            status.RESOURCE_EXHAUSTED,
            `the query service has ${questionsMax} questions in hand, as many as it may have: ask again`,
          );
        }
        questions++;
        try {
          const response = await work(request, signal);
          code = codeOf(status.OK);
          rows = rowsOf(response);
          return response;
        } catch (error) {
          code = codeOfError(error, signal);
          throw error;
        } finally {
          questions--;
        }
      } finally {
        ended(code, rows);
      }
    };
  const streaming = <Request, Response>(
    method: QueryMethod,
    rowsOf: (response: Response) => number,
    work: Streaming<Request, Response>,
  ): Streaming<Request, Response> =>
    async function* (request, signal) {
      const ended = meter.begun(method);
      // A caller that goes away lets go of it in the middle.
      let code = codeOf(status.CANCELLED);
      let rows = 0;
      try {
        for await (const part of work(request, signal)) {
          rows += rowsOf(part);
          yield part;
        }
        if (!signal.aborted) code = codeOf(status.OK);
      } catch (error) {
        code = codeOfError(error, signal);
        throw error;
      } finally {
        ended(code, rows);
      }
    };
  return {
    queryAggregates: unary('QueryAggregates', countOf('rows'), (...asked) =>
      answers.queryAggregates(...asked),
    ),
    topN: unary('TopN', countOf('entries'), (...asked) => answers.topN(...asked)),
    compareAggregates: unary(
      'CompareAggregates',
      () => 2,
      (...asked) => answers.compareAggregates(...asked),
    ),
    queryUniques: unary('QueryUniques', countOf('rows'), (...asked) => answers.queryUniques(...asked)),
    streamAggregates: streaming('StreamAggregates', countOf('rows'), (...asked) =>
      answers.streamAggregates(...asked),
    ),
    exportAggregates: streaming(
      'ExportAggregates',
      () => 0,
      (...asked) => answers.exportAggregates(...asked),
    ),
  };
}

function countOf<Field extends string>(field: Field) {
  return (response: { readonly [name in Field]?: readonly unknown[] | null }): number =>
    response[field]?.length ?? 0;
}

function codeOfError(error: unknown, signal: AbortSignal): string {
  if (isCallError(error)) return codeOf(error.code);
  return codeOf(signal.aborted ? status.CANCELLED : status.UNAVAILABLE);
}

function codeOf(code: status): string {
  return status[code];
}
