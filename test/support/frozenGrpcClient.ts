/**
 * A gRPC client that sends requests and reads no reply: it never opens its HTTP/2 window (RFC 9113, 6.9), so a server
 * may send it 65,535 bytes and no more. Written on a bare socket, because gRPC libraries read ahead by themselves.
 */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What a server lets a client send before it opens its own window; a frozen client hears of no more. */
const WINDOW_BYTES = 65_535;

/** Of a gRPC message: compressed or not, and its length. */
const PREFIX_BYTES = 5;

const SETTINGS = 4;
const HEADERS = 1;
const DATA = 0;
const ACKNOWLEDGED = 1;
const END_STREAM = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field "without indexing" (RFC 7541, 6.2.2); names and values below 127 bytes. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/**
 * Calls a streaming method and sends as many requests as fit its window.
 * @param path such as `/clickledger.v1.ClickIngestService/StreamIngestClicks`
 * @param request the bytes of the n-th request
 * @returns how many were sent
 */
export async function callFrozen(
  address: string,
  path: string,
  request: (number: number) => Uint8Array,
): Promise<number> {
  const socket = await begin(address, path);
  for (let sent = 0, bytes = 0; ; sent++) {
    const body = request(sent);
    bytes += PREFIX_BYTES + body.length;
    if (bytes > WINDOW_BYTES) return sent;
    socket.write(frame(DATA, 0, 1, message(body)));
  }
}

/** Asks a method that answers with a stream, and reads none of it. */
export async function askFrozen(address: string, path: string, request: Uint8Array): Promise<void> {
  const socket = await begin(address, path);
  socket.write(frame(DATA, END_STREAM, 1, message(request)));
}

async function begin(address: string, path: string): Promise<Socket> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect(Number(port), host);
  onTestFinished(() => {
    socket.destroy();
  });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const headers = [
    field(':method', 'POST'),
    field(':scheme', 'http'),
    field(':path', path),
    field(':authority', address),
    field('content-type', 'application/grpc'),
    field('te', 'trailers'),
  ];
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(SETTINGS, 0, 0, Buffer.alloc(0)),
      frame(SETTINGS, ACKNOWLEDGED, 0, Buffer.alloc(0)),
      frame(HEADERS, END_HEADERS, 1, Buffer.concat(headers)),
    ]),
  );
  return socket;
}

function message(body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}
