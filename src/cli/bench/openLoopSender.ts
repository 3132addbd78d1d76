/**
 * HTTP requests at a fixed rate whatever the answers do (an open loop): each has a moment at which it is due, and its
 * latency counts from there. Where all connections are busy it waits for one, and that waiting is in its latency.
 *
 * Over raw sockets, because it shares the processors with what it measures: a request is bytes that stand ready, an
 * answer is looked at only for its status and its end. Due requests are sent once a millisecond, so up to one of it is
 * the sender's own.
 */
import type { Socket } from 'bun';

const TICK_MS = 1;
const STATUS_LINE = 'HTTP/1.1 302';
/** A redirect has no body. */
const END = '\r\n\r\n';

interface Connection {
  /** Milliseconds by performance.now() at which the request under way was due. */
  dueMs: number;
  busy: boolean;
}

export interface OpenLoopRun {
  /** Milliseconds, in the order of the answers. */
  readonly latencies: readonly number[];
  /** Answers a second, until the last one. */
  readonly perSecond: number;
}

export class OpenLoopSender {
  readonly #idle: Socket<Connection>[] = [];
  readonly #sockets: Socket<Connection>[] = [];
  #onAnswer: (socket: Socket<Connection>) => void = () => undefined;
  #failure: Error | undefined;

  static async open(port: number, connections: number): Promise<OpenLoopSender> {
    const sender = new OpenLoopSender();
    for (let number = 0; number < connections; number += 1) {
      const socket = await Bun.connect<Connection>({
        hostname: '127.0.0.1',
        port,
        socket: {
          open: (opened) => {
            opened.data = { dueMs: 0, busy: false };
          },
          data: (from, bytes) => sender.#answered(from, bytes),
          close: (closed) => {
            if (closed.data.busy) sender.#failure ??= new Error('the gateway closed a connection');
          },
        },
      });
      sender.#sockets.push(socket);
      sender.#idle.push(socket);
    }
    return sender;
  }

  /** Sends each request once. @throws Error where one is answered by anything but a redirect */
  async run(requests: readonly Buffer[], perSecond: number): Promise<OpenLoopRun> {
    const latencies: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const startMs = performance.now();
    let next = 0;
    const dueMs = (number: number) => startMs + (number * 1_000) / perSecond;
    const sendDue = () => {
      const nowMs = performance.now();
      for (; next < requests.length && dueMs(next) <= nowMs; next += 1) {
        const socket = this.#idle.pop();
        if (socket === undefined) return;
        socket.data.dueMs = dueMs(next);
        socket.data.busy = true;
        socket.write(requests[next] ?? '');
      }
    };
    this.#onAnswer = (socket) => {
      latencies.push(performance.now() - socket.data.dueMs);
      this.#idle.push(socket);
      if (latencies.length === requests.length) resolve();
      else sendDue();
    };
    const timer = setInterval(() => {
      sendDue();
      if (this.#failure !== undefined) resolve();
    }, TICK_MS);
    await promise;
    clearInterval(timer);
    if (this.#failure !== undefined) throw this.#failure;
    return { latencies, perSecond: latencies.length / ((performance.now() - startMs) / 1_000) };
  }

  close(): void {
    for (const socket of this.#sockets) socket.end();
  }

  #answered(socket: Socket<Connection>, bytes: Buffer): void {
    const text = bytes.toString('latin1');
    if (!text.startsWith(STATUS_LINE) || !text.endsWith(END)) {
      this.#failure ??= new Error(`the gateway answered ${JSON.stringify(text.slice(0, 200))}`);
      return;
    }
    socket.data.busy = false;
    this.#onAnswer(socket);
  }
}
