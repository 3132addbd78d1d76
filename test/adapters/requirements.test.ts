/** Servers that would lose or double clicks are refused at the start, with words that say what to change. */
import { Redis } from 'ioredis';
import { expect, inject, onTestFinished, test } from 'vitest';
import { isAtLeast } from '../../src/adapters/environment/unfitServer.ts';
import { checkNats } from '../../src/adapters/nats/requirements.ts';
import { checkPostgres } from '../../src/adapters/postgres/requirements.ts';
import { checkRedis } from '../../src/adapters/redis/requirements.ts';
import { startNats } from '../support/nats.ts';
import { startRedis } from '../support/redis.ts';

const NOBODY = '127.0.0.1:9';

test('the servers that `up` starts are fit', async () => {
  const nats = await startNats();
  onTestFinished(() => nats.stop());
  await checkNats(nats.url);
  await checkRedis(inject('redisUrl'));
  await checkPostgres(inject('databaseUrl'));
});

test('a Redis that evicts is refused: what it forgets would be counted twice', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  redis.disconnect();
  await expect(checkRedis(server.url)).rejects.toThrow(
    /REDIS_URL: .* has maxmemory-policy allkeys-lru, it must be noeviction/,
  );
});

test.each([
  ['NATS_URL', () => checkNats(`nats://${NOBODY}`)],
  ['REDIS_URL', () => checkRedis(`redis://:secret@${NOBODY}`)],
  ['DATABASE_URL', () => checkPostgres(`postgres://a:secret@${NOBODY}/x`)],
])('%s that leads nowhere: the message has the address and no password', async (variable, check) => {
  const error: Error = await check().then(
    () => new Error('nothing was wrong'),
    (reason: Error) => reason,
  );
  expect(error.message).toMatch(
    new RegExp(`^${variable}: the server at ${NOBODY} cannot be used: .*REFUSED`),
  );
  expect(error.message).not.toContain('secret');
});

test('versions are compared as numbers', () => {
  expect(isAtLeast('2.9.10', 2, 10)).toBe(false);
  expect(isAtLeast('2.10.0', 2, 10)).toBe(true);
  expect(isAtLeast('3.0', 2, 10)).toBe(true);
  expect(isAtLeast('15.18 (Debian 15.18-0+deb12u1)', 15, 0)).toBe(true);
  expect(isAtLeast('14.9', 15, 0)).toBe(false);
  expect(isAtLeast('', 1, 0)).toBe(false);
});
