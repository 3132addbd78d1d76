/** Redis for tests: a database of the shared server, or a server of one's own where it is to be killed. */
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { redisServer } from '../../src/cli/stack/redisServer.ts';
import { REDIS_DATABASES } from '../servers.ts';
import { type OwnServer, startOwn } from './ownServer.ts';

export interface FreshRedis {
  readonly url: string;
  /** Forgets everything in this database, as a wiped Redis would. */
  flush(): Promise<void>;
}

/** Database 0 of the shared server only counts which databases were handed out. */
const COUNTER_KEY = 'databases-handed-out';

/** An empty database of the shared Redis, with its number in the URL. */
export async function freshRedis(): Promise<FreshRedis> {
  const sharedUrl = inject('redisUrl');
  const database = await withClient(sharedUrl, (client) => client.incr(COUNTER_KEY));
  if (database >= REDIS_DATABASES)
    throw new Error(`a run of tests may call freshRedis ${REDIS_DATABASES} times`);
  const url = `${sharedUrl}/${database}`;
  return {
    url,
    flush: async () => {
      await withClient(url, (client) => client.flushdb());
    },
  };
}

/** A redis-server of a test's own, which may be stopped, killed and started again. */
export async function startRedis(): Promise<OwnServer> {
  return startOwn('redis', (directory, secret) => redisServer({ directory, password: secret }));
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
