/**
 * A TCP proxy that stands between a process and a server and does what networks do: it delays, cuts, holds still or
 * loses replies. It knows no protocol; `loseReply` recognises a request by a text in its bytes.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A reply that is being kept from the client. */
export interface LostReply {
  /** A request with the text was seen; its connection hears nothing from now on. */
  readonly requested: Promise<void>;
  /** The server has answered on that connection, and the answer was thrown away: its first bytes, as Latin-1. */
  readonly swallowed: Promise<string>;
}

interface Trap {
  readonly text: Buffer;
  readonly requested: PromiseWithResolvers<void>;
  readonly swallowed: PromiseWithResolvers<string>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** The last bytes of the client, in which the beginning of a trap's text may stand. */
  tail: Buffer;
  /** What was sprung on this connection: its replies are swallowed. */
  trap: Trap | undefined;
  /** Delayed replies go out in their order. */
  replies: Promise<void>;
}

export class FaultProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #targetPort: number;
  #stalled = false;
  #replyDelayMs = 0;
  #trap: Trap | undefined;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection (RST). New ones are taken. */
  reset(): void {
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#links.clear();
  }

  /** Half-open: connections stay and are taken, nothing goes through. */
  stall(): void {
    this.#stalled = true;
    for (const { client, server } of this.#links) {
      client.pause();
      server.pause();
    }
  }

  /** Every reply takes so long; 0 ends it. */
  delayReplies(ms: number): void {
    this.#replyDelayMs = ms;
  }

  /** From the next request that contains `text` on, its connection's replies are swallowed, until `reset`. */
  loseReply(text: string): LostReply {
    const trap: Trap = {
      text: Buffer.from(text),
      requested: Promise.withResolvers<void>(),
      swallowed: Promise.withResolvers<string>(),
    };
    this.#trap = trap;
    return { requested: trap.requested.promise, swallowed: trap.swallowed.promise };
  }

  /** New connections go to another server; those that stand are cut. */
  repoint(targetPort: number): void {
    this.#targetPort = targetPort;
    this.reset();
  }

  /** Ends every fault. What was held still is cut, so that both ends begin anew. */
  heal(): void {
    const wasStalled = this.#stalled;
    this.#stalled = false;
    this.#replyDelayMs = 0;
    this.#trap = undefined;
    const isDeaf = [...this.#links].some(({ trap }) => trap !== undefined);
    if (wasStalled || isDeaf) this.reset();
  }

  close(): void {
    this.#server.close();
    this.reset();
  }

  #accept(client: Socket): void {
    const server = connect(this.#targetPort, '127.0.0.1');
    const link: Link = {
      client,
      server,
      tail: Buffer.alloc(0),
      trap: undefined,
      replies: Promise.resolve(),
    };
    this.#links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      // Its other side is told by the close that follows.
      socket.on('error', () => undefined);
      if (this.#stalled) socket.pause();
    }
    client.on('data', (bytes: Buffer) => this.#request(link, bytes));
    server.on('data', (bytes: Buffer) => this.#reply(link, bytes));
    client.on('close', () => this.#end(link, server));
    server.on('close', () => {
      void link.replies.then(() => this.#end(link, client));
    });
  }

  #request(link: Link, bytes: Buffer): void {
    // What was on its way when everything was held still; such a connection is cut in the end.
    if (this.#stalled) return;
    const trap = this.#trap;
    if (trap !== undefined) {
      const seen = Buffer.concat([link.tail, bytes]);
      if (seen.includes(trap.text)) {
        this.#trap = undefined;
        link.trap = trap;
        trap.requested.resolve();
      }
      link.tail = seen.subarray(-trap.text.length);
    }
    forward(link.client, link.server, bytes);
  }

  #reply(link: Link, bytes: Buffer): void {
    if (this.#stalled) return;
    if (link.trap !== undefined) {
      link.trap.swallowed.resolve(bytes.toString('latin1'));
      return;
    }
    const delayMs = this.#replyDelayMs;
    if (delayMs === 0) {
      // Behind what is still delayed.
      link.replies = link.replies.then(() => forward(link.server, link.client, bytes));
      return;
    }
    const due = Bun.sleep(delayMs);
    link.replies = link.replies.then(() => due).then(() => forward(link.server, link.client, bytes));
  }

  #end(link: Link, other: Socket): void {
    this.#links.delete(link);
    other.end();
  }
}

/** Reads no more from `from` while `to` does not take it. */
function forward(from: Socket, to: Socket, bytes: Buffer): void {
  if (to.destroyed || to.write(bytes)) return;
  from.pause();
  to.once('drain', () => from.resume());
}
