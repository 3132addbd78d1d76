/** A real gRPC server on a free port, for handlers that are tested through the wire. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';

/** Starts to serve; ends with the test. @returns `host:port` */
export async function serve(register: (server: Server) => void): Promise<string> {
  const server = new Server();
  register(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  onTestFinished(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}
