/** Memories that no stream needs are found by their names and removed; all others stay (I6). */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { connectRedis, loadFoldMemories } from '../../../src/adapters/redis/foldMemory.ts';
import { findStaleFolds } from '../../../src/adapters/redis/staleFolds.ts';
import { FOLD_RECORD_BYTES } from '../../../src/domain/fold.ts';
import { freshRedis } from '../../support/redis.ts';

test('memories of streams that are gone or were made anew are removed, others and foreign keys stay', async () => {
  const redis = connectRedis((await freshRedis()).url, () => undefined);
  onTestFinished(() => redis.disconnect());
  await once(redis, 'ready');
  const memoryOf = await loadFoldMemories(redis, 60_000);
  const [before, now] = ['2025-01-01T00:00:00.5Z', '2025-02-02T00:00:00.5Z'];
  for (const [shard, incarnation] of [
    [0, now],
    [1, before],
    [1, now],
    [2, before],
  ] as const) {
    const memory = memoryOf(shard, incarnation);
    await memory.reset('generation', 0, 0);
    const records = Buffer.alloc(300 * FOLD_RECORD_BYTES);
    randomFillSync(records);
    await memory.fold(1, 1_000_000, records, 0, 'count');
  }
  await redis.set('something else', 'stays');
  // The format before this one had a key for each bucket.
  await redis.hset(`fold:{0:${now}}`, 'generation', 'old');
  await redis.hset(`fold:{0:${now}}:old:17`, 'identity', 'times');
  const incarnations = new Map([
    [0, now],
    [1, now],
  ]);
  const keys = await redis.dbsize();
  const found = await findStaleFolds(redis, incarnations, false);
  expect(found).toEqual([
    { shard: 0, incarnation: now, outdated: true, keys: 2 },
    { shard: 1, incarnation: before, outdated: false, keys: 2 },
    { shard: 2, incarnation: before, outdated: false, keys: 2 },
  ]);
  expect(await redis.dbsize()).toBe(keys);
  expect(await findStaleFolds(redis, incarnations, true)).toEqual(found);
  expect(await redis.dbsize()).toBe(keys - found.reduce((sum, fold) => sum + fold.keys, 0));
  expect(await findStaleFolds(redis, incarnations, true)).toEqual([]);
  // The next message of a shard that is alive is judged on what was remembered.
  const letters = await memoryOf(0, now).fold(1, 1_000_000, Buffer.alloc(0), 0, 'count');
  expect(letters.kind).toBe('verdicts');
  expect(await redis.get('something else')).toBe('stays');
});
