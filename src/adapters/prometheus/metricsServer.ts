/** `GET /metrics` over HTTP, in the text format of Prometheus. */
import type { Registry } from 'prom-client';

export interface MetricsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** @throws Error where the port is taken */
export function serveMetrics(hostname: string, port: number, registry: Registry): MetricsServer {
  const server = Bun.serve({
    hostname,
    port,
    routes: {
      '/metrics': {
        GET: async () =>
          new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } }),
      },
    },
    fetch: () => new Response('right is GET /metrics\n', { status: 404 }),
  });
  return { port: server.port ?? port, stop: () => server.stop(true) };
}
