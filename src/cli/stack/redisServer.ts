/**
 * The local redis-server. It holds the fold's memory, which can be made again from the stream, so a second of it
 * may be lost (`everysec`); but nothing may be evicted (I7). Its append-only file grows by about 300 bytes a click and
 * is rewritten at 256 MB first: a small memory would be rewritten every few seconds, which costs more than reading the
 * file once at a start.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { ServerDefinition } from './server.ts';
import { toolPath } from './tools.ts';

export interface RedisServerOptions {
  readonly directory: string;
  readonly password: string;
  /** How many numbered databases it has. Tests share one server and take one database each. */
  readonly databases?: number;
}

const DATABASES = 16;
const PROBE_TIMEOUT_MS = 5_000;

export function redisServer(options: RedisServerOptions): ServerDefinition {
  const { directory, password } = options;
  const configFile = join(directory, 'redis.conf');
  const url = (port: number) => `redis://:${password}@127.0.0.1:${port}`;
  return {
    name: 'redis-server',
    async prepare(port) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(configFile, configuration(options, port), { mode: 0o600 });
      await chmod(configFile, 0o600);
    },
    process: () => ({ command: [toolPath('redis-server'), configFile], stopSignal: 'SIGTERM' }),
    url,
    async probe(port) {
      const client = new Redis(url(port), {
        lazyConnect: true,
        connectTimeout: PROBE_TIMEOUT_MS,
        retryStrategy: () => null,
      });
      // Without a listener ioredis writes every failed try to the console.
      client.on('error', () => undefined);
      try {
        await client.connect();
        // Refused with LOADING until the data of an earlier run is in memory.
        await client.ping();
      } finally {
        client.disconnect();
      }
    },
  };
}

function configuration({ directory, password, databases = DATABASES }: RedisServerOptions, port: number) {
  return `bind 127.0.0.1
port ${port}
requirepass ${password}
databases ${databases}
dir ${JSON.stringify(directory)}
daemonize no
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 256mb
save ""
`;
}
