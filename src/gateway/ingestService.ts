/**
 * ClickIngestService: ad servers publish clicks. A click is ACCEPTED only when it is durable (I1); where that is not
 * known of some click of a call, the call fails as a whole and its clicks may all be sent again.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { answer, invalidArgument } from '../contract/callErrors.ts';
import type { BatchIngestClicksRequest__Output as BatchRequest } from '../contract/generated/clickledger/v1/BatchIngestClicksRequest.ts';
import type { BatchIngestClicksResponse as BatchResponse } from '../contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { Click__Output as Click } from '../contract/generated/clickledger/v1/Click.ts';
import type { ClickIngestServiceHandlers } from '../contract/generated/clickledger/v1/ClickIngestService.ts';
import type { IngestResult } from '../contract/generated/clickledger/v1/IngestResult.ts';
import type { ClickRecord } from '../domain/clickRecord.ts';
import type { FactFinder } from '../domain/factFinder.ts';
import { CLICKS_A_REQUEST_MAX, fits, SOURCE_BYTES_MAX } from '../domain/limits.ts';
import type { MonthlySalt } from '../domain/monthlySalt.ts';
import { WrittenClick } from '../domain/writtenClick.ts';
import type { AdDirectory } from './adDirectory.ts';
import { explainError } from './callErrors.ts';
import { admitClick, type Refusal, refuseUnknownAd } from './clickAdmission.ts';
import type { ClickLog, Durable } from './clickLog.ts';
import type { Log } from './ports.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

/** Clicks of all calls together that may wait for their answers. */
const CLICKS_WAITING_MAX = 200_000;

/** Requests of one stream that may wait for their replies; beyond, the gateway stops reading it. */
const STREAM_REQUESTS_MAX = 16;

export interface IngestParts {
  readonly ads: AdDirectory;
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly userKeySalt: MonthlySalt;
  readonly finder: FactFinder;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly log: Log;
  /** Given when the gateway goes down: streams are answered as far as they were read, then ended. */
  readonly draining: AbortSignal;
}

export function ingestService(parts: IngestParts): ClickIngestServiceHandlers {
  const ingest = new Ingest(parts);
  const explain = (error: unknown) => explainError(error, parts.log);
  return {
    IngestClick: (call, callback) => {
      const { source, click } = call.request;
      answer(callback, explain, async () => {
        if (click === null) throw invalidArgument('click is missing: it must be a Click');
        const [result] = await ingest.batch({ source, clicks: [click] });
        return { result: result ?? null };
      });
    },
    BatchIngestClicks: (call, callback) => {
      answer(callback, explain, async () => ({ results: await ingest.batch(call.request) }));
    },
    StreamIngestClicks: (call) => streamBatches(call, ingest, parts),
  };
}

interface Batch {
  readonly source: string;
  /** A plain click was found right and written when its request was read. */
  readonly clicks: readonly (Click | WrittenClick)[];
  /** How many clicks there were, where there were so many that none was read. */
  readonly unread_clicks?: number;
}

interface Admitted {
  /** In the request. */
  readonly place: number;
  readonly click: ClickRecord | WrittenClick;
}

class Ingest {
  readonly #parts: IngestParts;
  #waiting = 0;

  constructor(parts: IngestParts) {
    this.#parts = parts;
  }

  /** One result a click, in order. @throws UnavailableError, OverloadedError, or a gRPC error of the whole call */
  async batch({ source, clicks, unread_clicks }: Batch): Promise<IngestResult[]> {
    if (unread_clicks !== undefined) {
      throw invalidArgument(
        `clicks has ${unread_clicks} entries: a request may hold ${CLICKS_A_REQUEST_MAX}`,
      );
    }
    if (!fits(source, SOURCE_BYTES_MAX)) {
      throw invalidArgument(
        `source must be at most ${SOURCE_BYTES_MAX} bytes, it has ${Buffer.byteLength(source)}`,
      );
    }
    if (this.#waiting + clicks.length > CLICKS_WAITING_MAX) {
      throw new OverloadedError(
        `${this.#waiting} clicks wait for their answers already, at most ${CLICKS_WAITING_MAX} may`,
      );
    }
    this.#waiting += clicks.length;
    try {
      return await this.#take(source, clicks);
    } finally {
      this.#waiting -= clicks.length;
    }
  }

  async #take(source: string, clicks: Batch['clicks']): Promise<IngestResult[]> {
    const refusals = new Map<number, string>();
    const admitted = await this.#withAds(this.#admit(source, clicks, refusals), refusals);
    const durable = await this.#parts.clickLog.append(admitted.map(({ click }) => click));
    const results = new Array<IngestResult>(clicks.length);
    for (const [place, reason] of refusals) results[place] = { status: 'REJECTED', reason };
    for (const [index, { place }] of admitted.entries()) results[place] = accepted(durable[index]);
    return results;
  }

  /** Those that are right in themselves; the others are among the refusals, by their places. */
  #admit(source: string, clicks: Batch['clicks'], refusals: Map<number, string>): Admitted[] {
    const { clock, userKeySalt, finder } = this.#parts;
    const context = { source, receivedMs: clock(), userKeySalt, finder };
    const admitted: Admitted[] = [];
    for (const [place, click] of clicks.entries()) {
      if (click instanceof WrittenClick) admitted.push({ place, click });
      else {
        const admission = place < CLICKS_A_REQUEST_MAX ? admitClick(click, context) : BEYOND_LIMIT;
        if (admission.kind === 'admitted') admitted.push({ place, click: admission.record });
        else refusals.set(place, admission.reason);
      }
    }
    return admitted;
  }

  /** Those whose ads exist. */
  async #withAds(admitted: Admitted[], refusals: Map<number, string>): Promise<Admitted[]> {
    const adIds = new Set<string>();
    for (const { click } of admitted) adIds.add(click.adId);
    const existing = await this.#parts.ads.existing(adIds);
    if (existing.size === adIds.size) return admitted;
    return admitted.filter(({ place, click: { adId } }) => {
      const exists = existing.has(adId);
      if (!exists) refusals.set(place, refuseUnknownAd(adId).reason);
      return exists;
    });
  }
}

const BEYOND_LIMIT: Refusal = {
  kind: 'refused',
  reason: `clicks has more than ${CLICKS_A_REQUEST_MAX} entries: the ones beyond must be sent in another request`,
};

function accepted(durable: Durable | undefined): IngestResult {
  if (durable === undefined) throw new Error('a click was made durable without a position');
  if (durable === 'spooled') return { status: 'ACCEPTED' };
  const { shard, incarnation, sequence, index } = durable;
  return {
    status: 'ACCEPTED',
    receipt: { shard, stream_incarnation: incarnation, stream_sequence: sequence, index },
  };
}

/** Replies in the order of the requests; while too many wait, the stream is not read. */
function streamBatches(
  call: ServerDuplexStream<BatchRequest, BatchResponse>,
  ingest: Ingest,
  parts: IngestParts,
): void {
  const { draining, log } = parts;
  let waiting = 0;
  let replies: Promise<void> = Promise.resolve();
  let ended = false;
  /** Ends the call once, after the replies before it. */
  const end = (finish: () => void) => {
    if (ended) return;
    ended = true;
    draining.removeEventListener('abort', drain);
    finish();
  };
  const fail = (error: unknown) => end(() => call.emit('error', explainError(error, log)));
  const drain = () => {
    call.pause();
    void replies.then(() => fail(new UnavailableError('the gateway is going down')));
  };
  call.on('data', (request: BatchRequest) => {
    waiting += 1;
    if (waiting >= STREAM_REQUESTS_MAX) call.pause();
    const results = ingest.batch(request);
    results.catch(() => undefined);
    replies = replies
      .then(async () => {
        if (ended) return;
        await write(call, { results: await results });
        waiting -= 1;
        if (waiting < STREAM_REQUESTS_MAX && !draining.aborted) call.resume();
      })
      .catch(fail);
  });
  call.on('end', () => {
    void replies.then(() => end(() => call.end()));
  });
  call.on('cancelled', () => end(() => undefined));
  if (draining.aborted) drain();
  else draining.addEventListener('abort', drain);
}

/** Waits where the client does not read its replies. */
function write(
  call: ServerDuplexStream<BatchRequest, BatchResponse>,
  response: BatchResponse,
): Promise<void> {
  if (call.write(response) || call.cancelled) return Promise.resolve();
  return new Promise((resolve) => {
    const goOn = () => {
      call.off('drain', goOn);
      call.off('cancelled', goOn);
      resolve();
    };
    call.on('drain', goOn);
    call.on('cancelled', goOn);
  });
}
