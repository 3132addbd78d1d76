/**
 * Changes as Server-Sent Events, as fast as the client reads: what it has not read yet is merged by the answers, never
 * queued here (I14). A comment now and then keeps proxies from closing a quiet stream, and finds clients that have gone.
 */
import type { StreamAggregatesResponse as Changes } from '../../contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import { freshnessForm, metricsForm } from './forms.ts';
import { writeTime } from './time.ts';

const QUIET_MS = 15_000;
/** After how long a browser connects again. */
const RETRY_MS = 1_000;

export interface StreamParts {
  readonly signal: AbortSignal;
  readonly ended: () => void;
  readonly pause: (ms: number, stop: AbortSignal) => Promise<void>;
  readonly explain: (error: unknown) => object;
}

/** Returns with the first message: until then an error is a problem with its own status. */
export async function eventStream(
  changes: (stop: AbortSignal) => AsyncIterable<Changes>,
  { signal, ended, pause, explain }: StreamParts,
): Promise<Response> {
  const end = new AbortController();
  const stop = AbortSignal.any([signal, end.signal]);
  const iterator = changes(stop)[Symbol.asyncIterator]();
  const first = await iterator.next();
  let next: Promise<IteratorResult<Changes>> | undefined = Promise.resolve(first);
  let isBegun = false;
  let quiet = new AbortController();
  stop.addEventListener('abort', () => quiet.abort());
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!isBegun) {
        isBegun = true;
        return controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
      }
      next ??= iterator.next();
      // Where the client goes meanwhile, nobody waits for it any more.
      next.catch(() => undefined);
      quiet = new AbortController();
      if (stop.aborted) quiet.abort();
      try {
        const part = await Promise.race([next, pause(QUIET_MS, quiet.signal)]);
        if (part === undefined && !stop.aborted) return controller.enqueue(encoder.encode(': quiet\n\n'));
        next = undefined;
        if (part !== undefined && !part.done) return controller.enqueue(encoder.encode(eventOf(part.value)));
        ended();
        controller.close();
      } catch (error) {
        if (!stop.aborted) controller.enqueue(encoder.encode(event('problem', explain(error))));
        ended();
        controller.close();
      } finally {
        quiet.abort();
      }
    },
    async cancel() {
      ended();
      end.abort();
      await iterator.return?.().catch(() => undefined);
    },
  });
  return new Response(body, {
    headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' },
  });
}

function eventOf({ snapshot = false, rows = [], info, resume_token: token = '' }: Changes): string {
  const data = {
    rows: rows.map((row) => ({
      adId: row.ad_id ?? '',
      minute: writeTime(row.from_ms),
      ...metricsForm(row.metrics),
      status: row.status,
      revision: Number(row.revision ?? 0),
    })),
    freshness: freshnessForm(info),
  };
  return event(snapshot ? 'snapshot' : 'change', data, token);
}

function event(name: string, data: object, id = ''): string {
  return `${id === '' ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
