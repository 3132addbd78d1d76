/**
 * Follows sample clicks' URLs as browsers would, at a steady rate. At most so many requests are on their way: a
 * gateway that is slow gets fewer clicks, not a growing heap of them. Redirects are not followed.
 */

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

export interface TrafficOptions {
  readonly next: () => SampleClick;
  readonly key: SigningKey;
  readonly baseUrl: string;
  readonly clicksPerSecond: number;
  readonly nowMs: () => number;
}

export class TrafficSender {
  readonly #options: TrafficOptions;
  readonly #timer: NodeJS.Timeout;
  #inFlight = 0;
  #redirected = 0;
  #failed = 0;
  #lastFailure: string | undefined;
  #lastTickMs: number;
  #due = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#lastTickMs = options.nowMs();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Clicks that the gateway answered with a redirect: they are durable and will be counted. */
  get redirected(): number {
    return this.#redirected;
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
    for (; this.#due >= 1; this.#due -= 1) {
      if (this.#inFlight < IN_FLIGHT_MAX) void this.#follow(this.#options.next());
    }
  }

  async #follow(click: SampleClick): Promise<void> {
    this.#inFlight += 1;
    try {
      const response = await fetch(this.#url(click), {
        redirect: 'manual',
        headers: { 'user-agent': click.userAgent, referer: click.referrer },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      // Read to its end, or the connection could not be used again.
      await response.arrayBuffer();
      if (response.status === REDIRECT) this.#redirected += 1;
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
