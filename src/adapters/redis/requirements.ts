/** What clickledger needs of the Redis that REDIS_URL names. */
import { Redis } from 'ioredis';
import { addressOf, isAtLeast, reaching, UnfitServerError } from '../environment/unfitServer.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Version 7, and `noeviction`: any other policy forgets clicks when memory runs out, and a forgotten click would be
 * counted twice (I7).
 * @throws UnfitServerError that says what is wrong with it
 */
export async function checkRedis(url: string): Promise<void> {
  await reaching('REDIS_URL', url, async () => {
    const redis = new Redis(url, {
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      retryStrategy: () => null,
    });
    let why: Error | undefined;
    redis.on('error', (error) => {
      why = error;
    });
    try {
      // Its rejection only says that the connection is closed; the event before it says why.
      await redis.connect().catch((error: unknown) => {
        throw why ?? error;
      });
      const [server, memory] = await Promise.all([redis.info('server'), redis.info('memory')]);
      const version = /redis_version:(\S+)/.exec(server)?.[1] ?? '';
      const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1] ?? '';
      if (!isAtLeast(version, 7, 0)) {
        throw new UnfitServerError(
          `REDIS_URL: Redis at ${addressOf(url)} is ${version}, at least 7 is needed`,
        );
      }
      if (policy !== 'noeviction') {
        throw new UnfitServerError(
          `REDIS_URL: Redis at ${addressOf(url)} has maxmemory-policy ${policy}, it must be noeviction: what it evicts would be counted twice`,
        );
      }
    } finally {
      redis.disconnect();
    }
  });
}
