/**
 * The local nats-server. `sync_interval: always`: an acknowledged message is on the disk, not only in the page
 * cache of a machine that may lose power (I2 of docs/ARCHITECTURE.md). One server, no cluster.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'nats';
import type { ServerDefinition } from './server.ts';
import { toolPath } from './tools.ts';

export interface NatsServerOptions {
  readonly directory: string;
  readonly token: string;
}

const PROBE_TIMEOUT_MS = 5_000;

export function natsServer({ directory, token }: NatsServerOptions): ServerDefinition {
  const configFile = join(directory, 'nats.conf');
  const url = (port: number) => `nats://${token}@127.0.0.1:${port}`;
  return {
    name: 'nats-server',
    async prepare(port) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      // JSON is valid in its configuration language, and quotes a path with spaces rightly.
      const config = {
        listen: `127.0.0.1:${port}`,
        authorization: { token },
        jetstream: { store_dir: join(directory, 'jetstream'), sync_interval: 'always' },
      };
      await writeFile(configFile, JSON.stringify(config, null, 2), { mode: 0o600 });
      await chmod(configFile, 0o600);
    },
    process: () => ({ command: [toolPath('nats-server'), '-c', configFile], stopSignal: 'SIGTERM' }),
    url,
    async probe(port) {
      const connection = await connect({
        servers: `127.0.0.1:${port}`,
        token,
        reconnect: false,
        timeout: PROBE_TIMEOUT_MS,
      });
      try {
        await (await connection.jetstreamManager()).getAccountInfo();
      } finally {
        await connection.close();
      }
    },
  };
}
