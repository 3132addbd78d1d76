/** A connection to the Redis of a measurement, for as long as it is needed. */
import type { Redis } from 'ioredis';
import { connectRedis } from '../../adapters/redis/foldMemory.ts';
import type { Environment } from './benchInstallation.ts';

export async function withRedis<T>(environment: Environment, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = connectRedis(environment['REDIS_URL'] ?? '', () => undefined);
  try {
    // Commands fail before it is connected.
    await new Promise((resolve) => redis.once('ready', resolve));
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
