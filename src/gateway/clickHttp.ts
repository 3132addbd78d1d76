/**
 * Answers signed click URLs: GET /click?adId=&impressionId=&signature= -> 302 to the ad's destination, when the click
 * is durable. It records facts and does not judge: a bad signature, a HEAD request or a prefetch is answered and
 * recorded all the same.
 *
 * Requests come in and responses go out as plain objects, so this runs without a socket. The destination is the
 * catalog's, never the request's: no open redirect.
 */
import type { Ad } from '../domain/ad.ts';
import { type ClickRecord, EMPTY_CONTEXT, type SignatureCheck } from '../domain/clickRecord.ts';
import { type FactFinder, foundFacts } from '../domain/factFinder.ts';
import { AD_ID_BYTES_MAX, cut, isId, REFERRER_BYTES_MAX, USER_AGENT_BYTES_MAX } from '../domain/limits.ts';
import type { MonthlySalt } from '../domain/monthlySalt.ts';
import { isSignedBy } from '../domain/signature.ts';
import type { SigningKey } from '../domain/signingKey.ts';
import { formatUuid, parseUuid7, uuid7TimeMs } from '../domain/uuid7.ts';
import type { AdDirectory } from './adDirectory.ts';
import type { ClickOrigin } from './clickOrigin.ts';
import { type QueryValues, readQuery } from './clickQuery.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';
import { userKey } from './userKey.ts';

/** A click URL has about 200 characters. */
const URL_LENGTH_MAX = 4_096;
const VALUE_SHOWN_BYTES_MAX = 200;

export interface ClickHttpParts {
  readonly ads: AdDirectory;
  /** Returns when the clicks are durable. @throws UnavailableError, OverloadedError */
  readonly clickLog: { append(clicks: readonly ClickRecord[]): Promise<unknown> };
  readonly signingKeys: readonly SigningKey[];
  readonly userKeySalt: MonthlySalt;
  readonly origin: ClickOrigin;
  readonly finder: FactFinder;
  readonly clickUrlTtlMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  /** A new UUIDv7 of this time, 16 bytes. */
  readonly newClickId: (timeMs: number) => Uint8Array;
}

interface ClickUrl {
  readonly adId: string;
  readonly impressionText: string;
  readonly impressionId: Uint8Array;
  readonly signature: string;
}

export class ClickHttp {
  readonly #parts: ClickHttpParts;

  constructor(parts: ClickHttpParts) {
    this.#parts = parts;
  }

  /** @param peer the address at the other end of the connection; empty where it is not known */
  async handle(request: Request, peer: string): Promise<Response> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return problem(405, 'method', request.method, 'GET or HEAD', { Allow: 'GET, HEAD' });
    }
    const { url, headers } = request;
    if (url.length > URL_LENGTH_MAX) {
      return problem(414, 'url', `${url.length} characters`, `at most ${URL_LENGTH_MAX}`);
    }
    if (Number(headers.get('content-length') ?? 0) > 0 || headers.has('transfer-encoding')) {
      return problem(413, 'body', 'a request body', 'none');
    }
    const click = parseClickUrl(queryOf(url));
    if (click instanceof Response) return click;
    try {
      const found = this.#parts.ads.find(click.adId);
      const ad = found instanceof Promise ? await found : found;
      if (ad === undefined) return problem(404, 'adId', click.adId, 'an ad of the catalog');
      return await this.#redirect(request, peer, click, ad);
    } catch (error) {
      if (error instanceof UnavailableError || error instanceof OverloadedError) return notNow(error);
      throw error;
    }
  }

  async #redirect(request: Request, peer: string, click: ClickUrl, ad: Ad): Promise<Response> {
    const record = this.#record(request, peer, click);
    await this.#parts.clickLog.append([record]);
    return new Response(null, {
      status: 302,
      headers: {
        Location: withClickId(ad.destinationUrl, formatUuid(record.clickId)),
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'strict-origin-when-cross-origin',
      },
    });
  }

  #record(request: Request, peer: string, click: ClickUrl): ClickRecord {
    const { clock, newClickId, userKeySalt, origin, finder } = this.#parts;
    const { headers } = request;
    const receivedMs = clock();
    const userAgent = cut(headers.get('user-agent') ?? '', USER_AGENT_BYTES_MAX);
    const { address, country } = origin.of(headers, peer);
    return {
      ...EMPTY_CONTEXT,
      ...foundFacts({ ...EMPTY_CONTEXT, country }, userAgent, address, finder),
      // The same clock: an id that is ahead of the receipt would be defective.
      clickId: newClickId(receivedMs),
      impressionId: click.impressionId,
      adId: click.adId,
      eventTimeMs: receivedMs,
      receivedMs,
      channel: 'HTTP',
      signature: this.#check(click, receivedMs),
      head: request.method === 'HEAD',
      prefetch: isPrefetch(headers),
      test: false,
      userAgent,
      userKey: userKey(userKeySalt, receivedMs, { userId: '', ip: address, userAgent }),
      referrer: cut(headers.get('referer') ?? '', REFERRER_BYTES_MAX),
    };
  }

  #check({ adId, impressionText, impressionId, signature }: ClickUrl, nowMs: number): SignatureCheck {
    const { signingKeys, clickUrlTtlMs } = this.#parts;
    if (!isSignedBy(signingKeys, adId, impressionText, signature)) return 'INVALID';
    return uuid7TimeMs(impressionId) + clickUrlTtlMs < nowMs ? 'EXPIRED' : 'VALID';
  }
}

const PURPOSES = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz'] as const;
const AD_ID_RULE = `1 to ${AD_ID_BYTES_MAX} bytes without control characters`;
const IMPRESSION_RULE = 'a UUIDv7';
const PARAMETERS = [
  ['adId', AD_ID_RULE],
  ['impressionId', IMPRESSION_RULE],
  ['signature', '<key id>.<mac>, as `clickledger sign` makes it'],
] as const;

/** The parameters alone: the rest of the URL is made from the Host header, which may be anything. */
function queryOf(url: string): QueryValues {
  const query = url.indexOf('?');
  return readQuery(query < 0 ? '' : url.slice(query + 1));
}

/** What the URL says, or the answer to a URL that says it wrongly. */
function parseClickUrl(valuesOf: QueryValues): ClickUrl | Response {
  const given: Record<string, string> = {};
  for (const [name, right] of PARAMETERS) {
    const values = valuesOf(name);
    if (values.length > 1) return problem(400, name, `${values.length} values`, `${right}, once`);
    if (values[0] === undefined || values[0] === '') return problem(400, name, '', right);
    given[name] = values[0];
  }
  const { adId = '', impressionId: impressionText = '', signature = '' } = given;
  if (!isId(adId, AD_ID_BYTES_MAX)) return problem(400, 'adId', adId, AD_ID_RULE);
  const impressionId = parseUuid7(impressionText);
  if (impressionId === undefined) return problem(400, 'impressionId', impressionText, IMPRESSION_RULE);
  return { adId, impressionText, impressionId, signature };
}

function isPrefetch(headers: Headers): boolean {
  return PURPOSES.some((name) => /prefetch|preview|prerender/i.test(headers.get(name) ?? ''));
}

function withClickId(destination: string, clickId: string): string {
  const hash = destination.indexOf('#');
  const page = hash < 0 ? destination : destination.slice(0, hash);
  const fragment = hash < 0 ? '' : destination.slice(hash);
  const separator = !page.includes('?') ? '?' : page.endsWith('?') || page.endsWith('&') ? '' : '&';
  return `${page}${separator}clid=${clickId}${fragment}`;
}

function notNow(error: Error): Response {
  return Response.json(
    { error: error.message },
    { status: 503, headers: { 'Retry-After': '1', 'Cache-Control': 'no-store' } },
  );
}

/** The answer to a path that is none of the gateway's. */
export function nothingThere(): Response {
  return Response.json({ error: 'there is nothing here; click URLs start with /click?' }, { status: 404 });
}

/** An error as JSON that names what is wrong, what it is, and what would be right. */
function problem(
  status: number,
  field: string,
  value: string,
  right: string,
  headers: Record<string, string> = {},
): Response {
  const shown = cut(value, VALUE_SHOWN_BYTES_MAX);
  const error =
    value === ''
      ? `${field} is missing: it must be ${right}`
      : `${field} ${JSON.stringify(shown)} is wrong: it must be ${right}`;
  return Response.json(
    { error, field, value: shown, expected: right },
    { status, headers: { 'Cache-Control': 'no-store', ...headers } },
  );
}
