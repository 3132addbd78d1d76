/**
 * A small gateway for tests of what talks to one: real gRPC on a real port, a catalog and a list of taken clicks in
 * memory, and a script that says which requests go wrong and how. Like the real one it answers in order, and what
 * it took before it broke stays taken.
 */
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { AdCatalogService, ClickIngestService } from '../../src/adapters/grpc/contract.ts';
import type { Ad__Output } from '../../src/contract/generated/clickledger/v1/Ad.ts';
import type { BatchIngestClicksRequest__Output } from '../../src/contract/generated/clickledger/v1/BatchIngestClicksRequest.ts';
import type { BatchIngestClicksResponse } from '../../src/contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { Click__Output } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { IngestResult } from '../../src/contract/generated/clickledger/v1/IngestResult.ts';

type IngestCall = ServerDuplexStream<BatchIngestClicksRequest__Output, BatchIngestClicksResponse>;

/**
 * - `answer`: takes the clicks and answers
 * - `die`: takes the clicks, cuts every connection without an answer, and starts again on the same port
 * - `silence`: takes the clicks and never answers on this stream again
 * - `end`: takes the clicks and ends the stream without an answer, as if all were well
 * - `short`: answers with one result too few
 * - a status: refuses the request with it, taking nothing
 */
export type Deed = 'answer' | 'die' | 'silence' | 'end' | 'short' | status;

export interface GatewayScript {
  /** What to do with the n-th request (from 1) over all streams. */
  readonly deed?: (request: number) => Deed;
  /** Awaited before each answer. */
  readonly beforeAnswer?: () => Promise<void>;
  /** Ads that the catalog holds at the start. */
  readonly ads?: readonly Ad__Output[];
  /** Whether clicks on ads outside the catalog are rejected, as the real gateway does. */
  readonly checksAds?: boolean;
}

export class ScriptedGateway {
  /** Clicks by click_id, as often as they came. */
  readonly taken = new Map<string, number>();
  readonly clicks: Click__Output[] = [];
  readonly catalog = new Map<string, Ad__Output>();
  readonly upserts: string[][] = [];
  requests = 0;
  streams = 0;
  unanswered = 0;
  unansweredMost = 0;
  readonly #script: GatewayScript;
  #server = new Server();
  #port = 0;

  private constructor(script: GatewayScript) {
    this.#script = script;
    for (const ad of script.ads ?? []) this.catalog.set(ad.ad_id, ad);
  }

  static async start(script: GatewayScript = {}): Promise<ScriptedGateway> {
    const gateway = new ScriptedGateway(script);
    await gateway.#listen();
    return gateway;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  async #listen(): Promise<void> {
    this.#server = new Server();
    this.#server.addService(ClickIngestService.service, {
      StreamIngestClicks: (call: IngestCall) => this.#serve(call),
    });
    this.#server.addService(AdCatalogService.service, {
      GetAd: ({ request }: { request: { ad_id: string } }, done: Done) => this.#getAd(request.ad_id, done),
      UpsertAds: ({ request }: { request: { ads: Ad__Output[] } }, done: Done) =>
        this.#upsertAds(request.ads, done),
    });
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  #serve(call: IngestCall): void {
    this.streams += 1;
    let turn: Promise<void> = Promise.resolve();
    call.on('data', (request: BatchIngestClicksRequest__Output) => {
      this.requests += 1;
      this.unanswered += 1;
      this.unansweredMost = Math.max(this.unansweredMost, this.unanswered);
      const deed = this.#script.deed?.(this.requests) ?? 'answer';
      turn = turn.then(async () => {
        await this.#handle(call, request, deed);
        this.unanswered -= 1;
      });
    });
    call.on('end', () => {
      turn = turn.then(() => {
        call.end();
      });
    });
    call.on('error', () => {});
  }

  async #handle(call: IngestCall, { clicks }: BatchIngestClicksRequest__Output, deed: Deed): Promise<void> {
    if (call.cancelled) return;
    if (typeof deed === 'number') {
      call.emit('error', { code: deed, details: `scripted ${status[deed]}` });
      return;
    }
    const results = clicks.map((click) => this.#take(click));
    await this.#script.beforeAnswer?.();
    if (deed === 'answer') call.write({ results });
    if (deed === 'short') call.write({ results: results.slice(1) });
    if (deed === 'end') call.end();
    // In order: what comes after it on this stream has no answer either.
    if (deed === 'silence') await new Promise(() => {});
    if (deed === 'die') {
      this.#server.forceShutdown();
      await this.#listen();
    }
  }

  #take(click: Click__Output): IngestResult {
    if (this.#script.checksAds === true && !this.catalog.has(click.ad_id)) {
      return { status: 'REJECTED', reason: `ad_id "${click.ad_id}" is not in the catalog` };
    }
    this.taken.set(click.click_id, (this.taken.get(click.click_id) ?? 0) + 1);
    this.clicks.push(click);
    return { status: 'ACCEPTED' };
  }

  #getAd(adId: string, done: Done): void {
    const ad = this.catalog.get(adId);
    if (ad === undefined) done({ code: status.NOT_FOUND, details: `no ad ${adId}` });
    else done(null, { ad });
  }

  #upsertAds(ads: readonly Ad__Output[], done: Done): void {
    this.upserts.push(ads.map(({ ad_id }) => ad_id));
    const wrong = ads.find(({ ad_id }) => ad_id.includes('refused'));
    if (wrong !== undefined) {
      done({
        code: status.INVALID_ARGUMENT,
        details: `ads: ad_id "${wrong.ad_id}" is not what it should be`,
      });
      return;
    }
    for (const ad of ads) this.catalog.set(ad.ad_id, ad);
    done(null, { created: ads.length, updated: 0 });
  }
}

type Done = (error: Partial<ServiceError> | null, answer?: object) => void;
