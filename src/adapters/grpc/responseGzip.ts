/**
 * Answers compressed with gzip, for callers that say that they take it. grpc-js unpacks requests but does not compress what
 * a server sends (1.14.7), so this is done to what it writes: every write to a call's HTTP/2 stream is one whole message, a
 * byte that says whether it is compressed, four with its length, then itself.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/** Smaller messages gain nothing. */
const MESSAGE_BYTES_MIN = 1_024;
/** The fastest: rows of counts shrink to a third. */
const LEVEL = 1;
const PREFIX_BYTES = 5;
/** grpc-js: who takes a new call, with statistics of it and without. */
const TAKERS = ['_channelzHandler', '_streamHandler'] as const;

type Taker = (interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** To be called before the server listens. @throws Error where grpc-js is not built as this needs it */
export function gzipResponses(server: Server): void {
  const inner = server as unknown as Partial<Record<(typeof TAKERS)[number], Taker>>;
  for (const name of TAKERS) {
    const take = inner[name];
    if (take === undefined) throw new Error(`grpc-js has no ${name} any more: answers cannot be compressed`);
    inner[name] = (interceptors, stream, headers) => {
      const accepted = String(headers['grpc-accept-encoding'] ?? '').split(/\s*,\s*/);
      if (accepted.includes('gzip')) compress(stream);
      take.call(server, interceptors, stream, headers);
    };
  }
}

function compress(stream: ServerHttp2Stream): void {
  const respond = stream.respond.bind(stream);
  const write = stream.write.bind(stream) as (chunk: Buffer, ...rest: unknown[]) => boolean;
  stream.respond = (headers?: OutgoingHttpHeaders, options?: Parameters<typeof respond>[1]) => {
    const encoding = options?.endStream ? {} : { 'grpc-encoding': 'gzip' };
    respond({ ...headers, ...encoding }, options);
  };
  stream.write = ((chunk: Buffer, ...rest: unknown[]) =>
    write(packed(chunk), ...rest)) as typeof stream.write;
}

function packed(message: Buffer): Buffer {
  if (message.length < MESSAGE_BYTES_MIN) return message;
  const body = Bun.gzipSync(message.subarray(PREFIX_BYTES) as Buffer<ArrayBuffer>, { level: LEVEL });
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(1, 0);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}
