/**
 * A free loopback port for a server that `up` or a test starts.
 *
 * The kernel's own choice (port 0) lies in the range from which it also gives ports to outgoing connections. A
 * server that died would then compete with any of them for its port before it is started again. So the port is
 * picked below that range. It may still be taken between the check and the server's bind: the caller tries again.
 */
import { createServer } from 'node:net';

const PORT_MIN = 20_000;
/** Linux gives outgoing connections 32768 and above. */
const PORT_MAX = 32_000;
const TRIES_MAX = 100;

export type PortState = 'free' | 'taken' | 'forbidden' | 'no-such-address';

/** Whether a server could listen on `host`:`port` at this moment, and if not, what is in its way. */
export async function portState(port: number, host = '127.0.0.1'): Promise<PortState> {
  const { promise, resolve } = Promise.withResolvers<PortState>();
  const probe = createServer();
  probe.once('error', (error: NodeJS.ErrnoException) => resolve(stateOf(error.code)));
  probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve('free')));
  return promise;
}

function stateOf(code: string | undefined): PortState {
  switch (code) {
    case 'EADDRINUSE':
      return 'taken';
    case 'EACCES':
    case 'EPERM':
      return 'forbidden';
    // EADDRNOTAVAIL and ENOTFOUND; for a name without an address Bun gives no code at all.
    default:
      return 'no-such-address';
  }
}

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if ((await portState(port)) === 'free') return port;
  }
  throw new Error(`no free port among ${TRIES_MAX} tried between ${PORT_MIN} and ${PORT_MAX}`);
}
