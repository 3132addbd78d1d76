/**
 * Memories into which nobody folds any more (I6): of shards whose stream is gone or was made anew, and of the format
 * before this one.
 */
import type { Redis } from 'ioredis';

const KEY = /^fold(2?):\{(\d+):([^}]+)\}/;
const FORMAT = '2';
const SCAN_COUNT = 1_000;

export interface StaleFold {
  readonly shard: number;
  /** When the stream was created of which it is the memory. */
  readonly incarnation: string;
  /** Written by a release that stored it in another way. */
  readonly outdated: boolean;
  readonly keys: number;
}

/**
 * Looks through all memories, a portion at a time; Redis goes on serving meanwhile.
 * @param incarnations of the shards' streams as they are
 * @param remove whether the keys are removed, or only counted
 */
export async function findStaleFolds(
  redis: Redis,
  incarnations: ReadonlyMap<number, string>,
  remove: boolean,
): Promise<StaleFold[]> {
  const stale = new Map<string, StaleFold>();
  for await (const keys of redis.scanStream({ match: 'fold*:{*', count: SCAN_COUNT })) {
    // A key may come twice; once removed, it is not counted again.
    const old = [...new Set(keys as string[])].filter((key) => isStale(key, incarnations));
    for (const key of old) count(stale, key);
    if (remove && old.length > 0) await redis.unlink(...old);
  }
  return [...stale.values()].sort((left, right) => left.shard - right.shard);
}

function isStale(key: string, incarnations: ReadonlyMap<number, string>): boolean {
  const [, format, shard, incarnation] = KEY.exec(key) ?? [];
  if (shard === undefined) return false;
  return format !== FORMAT || incarnations.get(Number(shard)) !== incarnation;
}

function count(stale: Map<string, StaleFold>, key: string): void {
  const [name = '', format, shard = '', incarnation = ''] = KEY.exec(key) ?? [];
  const keys = (stale.get(name)?.keys ?? 0) + 1;
  stale.set(name, { shard: Number(shard), incarnation, outdated: format !== FORMAT, keys });
}
