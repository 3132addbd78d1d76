/**
 * A JSON answer: with a tag of its content, so that a client that has it gets 304; compressed where it is large.
 *
 * The tag is weak and leaves out `arrivedThrough`, which moves each second while the counts stay: with it no answer
 * would ever be the same. A header says it instead, with a 304 too.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const GZIP_BYTES_MIN = 1_024;
const ARRIVED_THROUGH = /"arrivedThrough":(?:"([^"]*)"|null)/g;
export const ARRIVED_HEADER = 'Clickledger-Arrived-Through';

/** In a thread of its own: an answer may have megabytes. */
const compress = promisify(gzip);

export async function reply(request: Request, answer: object): Promise<Response> {
  const text = JSON.stringify(answer);
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'Cache-Control': 'private, no-cache',
    Vary: 'Accept-Encoding',
    ETag: tagOf(text.replaceAll(ARRIVED_THROUGH, '')),
  };
  const arrived = [...text.matchAll(ARRIVED_THROUGH)].map(([, at = '']) => at).sort()[0];
  if (arrived) headers[ARRIVED_HEADER] = arrived;
  return send(request, text, headers);
}

export function tagOf(content: string | Uint8Array): string {
  return `W/"${new Bun.CryptoHasher('sha256').update(content).digest('base64url').slice(0, 22)}"`;
}

/** 304 where the client has it; @param headers with an ETag */
export async function send(
  request: Request,
  content: string | Uint8Array,
  headers: Record<string, string>,
): Promise<Response> {
  if (isKnown(request.headers.get('if-none-match'), headers['ETag'] ?? '')) {
    const { 'Content-Type': _, ...kept } = headers;
    return new Response(null, { status: 304, headers: kept });
  }
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  if (bytes.length < GZIP_BYTES_MIN || !takesGzip(request.headers.get('accept-encoding') ?? ''))
    return new Response(bytes, { headers });
  return new Response(await compress(bytes), { headers: { ...headers, 'Content-Encoding': 'gzip' } });
}

/** By weak comparison (RFC 9110, 13.1.2). */
function isKnown(given: string | null, tag: string): boolean {
  if (given === null) return false;
  const bare = (text: string) => text.trim().replace(/^W\//, '');
  return given.trim() === '*' || given.split(',').some((one) => bare(one) === bare(tag));
}

/** `gzip;q=0` is a refusal. */
function takesGzip(accepted: string): boolean {
  return accepted.split(',').some((one) => {
    const [coding = '', ...parameters] = one
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    return ['gzip', '*'].includes(coding) && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
