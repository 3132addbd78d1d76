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

/** Whether a server could listen on `host`:`port` at this moment. */
export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = createServer();
  probe.once('error', () => resolve(false));
  probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  return promise;
}

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port among ${TRIES_MAX} tried between ${PORT_MIN} and ${PORT_MAX}`);
}
