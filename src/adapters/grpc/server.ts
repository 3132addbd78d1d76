/** A gRPC server with the standard health service and server reflection. */
import { createServer, type Server as Listener } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { HealthImplementation } from 'grpc-health-check';
import { reflectionOf } from './reflection.ts';
import { gzipResponses } from './responseGzip.ts';

/** A request of 5,000 ordinary clicks has about 2 MiB; the library's own limit. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024;
/** An answer of 50,000 rows has about 8 MiB. Clients of ours take as much. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;
/** Calls on one connection; a client that has more waits. */
const CONNECTION_CALLS_MAX = 2_000;
/** A connection over which nothing comes is asked whether the other side is there still; if not, its calls end. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_ANSWER_MS = 20_000;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Other processes of this user may listen there too, if they all say so; the kernel spreads connections over them. */
  readonly isShared?: boolean;
}

export interface ServerOptions {
  /** Compresses answers for callers that take it: worth its time where answers are long. */
  readonly gzip?: boolean;
  readonly keepaliveMs?: number;
  readonly keepaliveAnswerMs?: number;
}

export interface GrpcServer {
  /** Says SERVING or NOT_SERVING to health checks, for the whole server and each of its services, or for one service. */
  setServing(serving: boolean, service?: string): void;
  /** Takes no new calls and ends when those under way have ended, or after `boundMs`. */
  stop(boundMs: number): Promise<void>;
}

/**
 * Starts to listen.
 * @param services full names of what is served, such as `clickledger.v1.ClickIngestService`
 * @throws Error where the port is taken
 */
export async function startGrpcServer(
  address: ListenAddress,
  definition: PackageDefinition,
  services: readonly string[],
  register: (server: Server) => void,
  { gzip = false, keepaliveMs = KEEPALIVE_MS, keepaliveAnswerMs = KEEPALIVE_ANSWER_MS }: ServerOptions = {},
): Promise<GrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
    'grpc.max_send_message_length': RESPONSE_BYTES_MAX,
    'grpc.max_concurrent_streams': CONNECTION_CALLS_MAX,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveAnswerMs,
  });
  if (gzip) gzipResponses(server);
  register(server);
  const names = ['', ...services];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'SERVING'])));
  health.addToServer(server);
  reflectionOf(definition, services).addToServer(server);
  const listener = await listen(address, server);
  const setServing = (serving: boolean, service?: string) => {
    for (const name of service === undefined ? names : [service])
      health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  return {
    setServing,
    stop: async (boundMs) => {
      setServing(false);
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      const bound = setTimeout(() => server.forceShutdown(), boundMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      // The library does not wait for calls on connections that were handed to it; each ends its connection.
      await closed;
      clearTimeout(bound);
    },
  };
}

/** Hands connections to the server itself: the library cannot listen on a port that is shared. */
async function listen({ host, port, isShared = false }: ListenAddress, server: Server): Promise<Listener> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer((socket) => injector.injectConnection(socket));
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ host, port, reusePort: isShared }, resolve);
  });
  return listener;
}
