/**
 * Sends sample clicks at a steady rate: follows their URLs as browsers behind an edge would, and reports those of an ad
 * server over gRPC. At most so many requests are on their way: a gateway that is slow gets fewer clicks, not a growing
 * heap of them. Redirects are not followed.
 */
import type { IngestClient } from '../../adapters/grpc/clients.ts';
import type { Click } from '../../contract/generated/clickledger/v1/Click.ts';
import { clickUrl } from '../../domain/clickUrl.ts';
import { errorText } from '../../domain/errorText.ts';
import { signClick } from '../../domain/signature.ts';
import type { SigningKey } from '../../domain/signingKey.ts';
import type { SampleClick } from './sampleTraffic.ts';

const TICK_MS = 50;
const IN_FLIGHT_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;
/** After a standstill at most so much is made up for, so that no burst follows. */
const CATCH_UP_MS = 500;
const REDIRECT = 302;
const SOURCE = 'demo';
/** In which the demo's edge says the country of who clicks. */
export const COUNTRY_HEADER = 'X-Demo-Country';

export interface TrafficOptions {
  readonly next: () => SampleClick;
  readonly key: SigningKey;
  readonly baseUrl: string;
  readonly ingest: Pick<IngestClient, 'batchIngestClicks'>;
  readonly newClickId: () => string;
  readonly clicksPerSecond: number;
  readonly nowMs: () => number;
}

export class TrafficSender {
  readonly #options: TrafficOptions;
  readonly #timer: NodeJS.Timeout;
  #inFlight = 0;
  #taken = 0;
  #failed = 0;
  #lastFailure: string | undefined;
  #lastTickMs: number;
  #due = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#lastTickMs = options.nowMs();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Clicks that the gateway answered with a redirect, or accepted: they are durable and will be counted. */
  get taken(): number {
    return this.#taken;
  }

  /** Clicks with another answer or none; whether they count is open. */
  get failed(): number {
    return this.#failed;
  }

  get lastFailure(): string | undefined {
    return this.#lastFailure;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { nowMs, clicksPerSecond } = this.#options;
    const now = nowMs();
    this.#due += (Math.min(now - this.#lastTickMs, CATCH_UP_MS) * clicksPerSecond) / 1_000;
    this.#lastTickMs = now;
    const reported: SampleClick[] = [];
    for (; this.#due >= 1; this.#due -= 1) {
      if (this.#inFlight >= IN_FLIGHT_MAX) continue;
      const click = this.#options.next();
      if (click.isReported) reported.push(click);
      else void this.#follow(click);
    }
    if (reported.length > 0) void this.#report(reported);
  }

  async #report(clicks: readonly SampleClick[]): Promise<void> {
    this.#inFlight += 1;
    try {
      const { results } = await this.#options.ingest.batchIngestClicks({
        source: SOURCE,
        clicks: clicks.map((click) => this.#reported(click)),
      });
      for (const { status, reason } of results) {
        if (status === 'ACCEPTED') this.#taken += 1;
        else this.#fail(reason);
      }
    } catch (error) {
      for (const _click of clicks) this.#fail(errorText(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Device, system and browser are left to the gateway, as most ad servers do. */
  #reported(click: SampleClick): Click {
    const { adId, impressionId, person, referrer, publisherId, placementId, creativeId } = click;
    return {
      click_id: this.#options.newClickId(),
      impression_id: impressionId,
      ad_id: adId,
      ip: person.address,
      user_agent: person.userAgent,
      country: person.country,
      referrer,
      publisher_id: publisherId,
      placement_id: placementId,
      creative_id: creativeId,
    };
  }

  async #follow(click: SampleClick): Promise<void> {
    const { address, country, userAgent } = click.person;
    this.#inFlight += 1;
    try {
      const response = await fetch(this.#url(click), {
        redirect: 'manual',
        headers: {
          'user-agent': userAgent,
          referer: click.referrer,
          'x-forwarded-for': address,
          [COUNTRY_HEADER]: country,
        },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      // Read to its end, or the connection could not be used again.
      await response.arrayBuffer();
      if (response.status === REDIRECT) this.#taken += 1;
      else this.#fail(`the gateway answered ${response.status}`);
    } catch (error) {
      this.#fail(errorText(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  #fail(why: string): void {
    this.#failed += 1;
    this.#lastFailure = why;
  }

  #url({ kind, adId, impressionId }: SampleClick): string {
    const { key, baseUrl } = this.#options;
    const signature = signClick(key, adId, impressionId);
    return clickUrl(baseUrl, adId, impressionId, kind === 'tampered' ? tamperedWith(signature) : signature);
  }
}

function tamperedWith(signature: string): string {
  const middle = signature.length - 10;
  const other = signature[middle] === 'A' ? 'B' : 'A';
  return `${signature.slice(0, middle)}${other}${signature.slice(middle + 1)}`;
}
