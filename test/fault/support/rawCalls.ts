/** Calls that no library would make: gRPC frames and HTTP requests, byte for byte. */
import { once } from 'node:events';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';

/** Nothing waits for an answer that long; a connection that is left open is no crash. */
const SOCKET_BOUND_MS = 10_000;
const FRAME_PREFIX_BYTES = 5;

export interface CallOutcome {
  /** The gRPC status; undefined where the call ended without one. */
  readonly status: number | undefined;
  readonly message: string;
}

/** One gRPC message in its frame: no compression, its length, its bytes. */
export function frame(message: Uint8Array, length = message.length, compressed = false): Buffer {
  const bytes = Buffer.alloc(FRAME_PREFIX_BYTES + message.length);
  bytes[0] = compressed ? 1 : 0;
  bytes.writeUInt32BE(length, 1);
  bytes.set(message, FRAME_PREFIX_BYTES);
  return bytes;
}

/** Sends these bytes as the body of a gRPC call. */
export async function callWith(address: string, method: string, body: Uint8Array): Promise<CallOutcome> {
  const session = connectHttp2(`http://${address}`);
  session.on('error', () => undefined);
  try {
    const request = session.request({
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let outcome: CallOutcome = { status: undefined, message: '' };
    const look = (headers: IncomingHttpHeaders) => {
      const given = headers['grpc-status'];
      if (given === undefined) return;
      outcome = { status: Number(given), message: decodeURIComponent(String(headers['grpc-message'] ?? '')) };
    };
    request.on('response', look);
    request.on('trailers', look);
    request.on('error', () => undefined);
    request.resume();
    request.end(body);
    await once(request, 'close');
    return outcome;
  } finally {
    session.destroy();
  }
}

/** What comes back on these bytes until the connection ends; empty where nothing does. */
export async function sendBytes(port: number, bytes: Uint8Array | string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (part) => {
    answer += part.toString('latin1');
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.end(bytes);
  const bound = setTimeout(() => socket.destroy(), SOCKET_BOUND_MS);
  await closed;
  clearTimeout(bound);
  return answer;
}
