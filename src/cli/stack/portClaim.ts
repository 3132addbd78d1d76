/**
 * Ports that the gateways of one `up` share, and no other `up` on this machine: the kernel lets any process of the same
 * user listen on a port that is shared, and would spread clicks over two installations. So the launcher holds a claim,
 * for as long as it lives and however it ends, whichever of its gateways runs just now.
 *
 * A claim is a name among the abstract socket addresses of Linux. They reach exactly as far as ports do, and leave no file.
 */
import { createServer } from 'node:net';

/** Claims the port for the rest of this process's life; false when another process has. */
export function claimPort(port: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const server = createServer((socket) => socket.destroy());
  server.once('error', (error: NodeJS.ErrnoException) =>
    error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
  );
  server.listen({ path: `\0clickledger port ${port}` }, () => resolve(true));
  server.unref();
  return promise;
}
