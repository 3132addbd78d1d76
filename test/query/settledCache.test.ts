/** What is remembered is given only under its own version, shared while it is read, bounded, and dropped when told. */
import { describe, expect, test } from 'vitest';
import type { Remembered, SettledPart, SharedMemory } from '../../src/domain/settledPart.ts';
import { type RowSource, SettledCache } from '../../src/query/settledCache.ts';

const DAY_MS = 86_400_000;
const DAY = Date.UTC(2025, 9, 6);
const PART: SettledPart = {
  fromMs: DAY,
  toMs: DAY + 2 * DAY_MS,
  question: 'clicks of ad 7',
  version: 'one',
  slots: [5],
};

class MemoryShared implements SharedMemory {
  readonly kept = new Map<string, Remembered>();

  async get(question: string): Promise<Remembered | undefined> {
    return this.kept.get(question);
  }

  set(question: string, remembered: Remembered): void {
    this.kept.set(question, remembered);
  }

  drop(questions: readonly string[]): void {
    for (const question of questions) this.kept.delete(question);
  }
}

function setUp(shared?: SharedMemory) {
  const found: RowSource[] = [];
  const cache = new SettledCache({ shared, found: (source) => found.push(source) });
  /** What comes for a part, where the database would give `rows`. */
  const ask = (part: SettledPart, rows: unknown) => cache.recall(part, () => Promise.resolve(rows));
  return { cache, ask, found };
}

describe('a settled part', () => {
  test('is read once, and again where its version is another', async () => {
    const { ask, found } = setUp();
    expect(await ask(PART, [1])).toEqual([1]);
    expect(await ask(PART, [2])).toEqual([1]);
    expect(await ask({ ...PART, version: 'two' }, [3])).toEqual([3]);
    expect(await ask({ ...PART, version: 'two' }, [4])).toEqual([3]);
    expect(found).toEqual(['database', 'process', 'database', 'process']);
  });

  test('of an old snapshot is never given to a new one, whatever order they come in', async () => {
    const { ask } = setUp(new MemoryShared());
    await ask({ ...PART, version: 'new' }, ['new']);
    expect(await ask({ ...PART, version: 'old' }, ['old'])).toEqual(['old']);
    expect(await ask({ ...PART, version: 'new' }, ['new'])).toEqual(['new']);
  });

  test('comes from the shared memory where another process has read it', async () => {
    const shared = new MemoryShared();
    await setUp(shared).ask(PART, [{ valid: 1 }]);
    const other = setUp(shared);
    expect(await other.ask(PART, ['unread'])).toEqual([{ valid: 1 }]);
    expect(await other.ask({ ...PART, version: 'two' }, ['read'])).toEqual(['read']);
    expect(other.found).toEqual(['shared', 'database']);
  });

  test('is read by one of those who ask at the same time with the same version', async () => {
    const { cache, found } = setUp();
    const gate = Promise.withResolvers<string[]>();
    const first = cache.recall(PART, () => gate.promise);
    const second = cache.recall(PART, () => Promise.reject(new Error('read twice')));
    const other = cache.recall({ ...PART, version: 'two' }, () => Promise.resolve(['two']));
    expect(await other).toEqual(['two']);
    gate.resolve(['one']);
    expect(await Promise.all([first, second])).toEqual([['one'], ['one']]);
    expect(found.toSorted()).toEqual(['database', 'database', 'flight']);
  });

  test('is read by one of those who wait, where the one who reads fails', async () => {
    const { cache } = setUp();
    const gate = Promise.withResolvers<string[]>();
    let readings = 0;
    const read = () => {
      readings++;
      return Promise.resolve(['read']);
    };
    const first = cache.recall(PART, () => gate.promise);
    const others = [cache.recall(PART, read), cache.recall(PART, read), cache.recall(PART, read)];
    gate.reject(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect(await Promise.all(others)).toEqual([['read'], ['read'], ['read']]);
    expect(readings).toBe(1);
  });

  test('is dropped from both memories when its day and slot are told, and only then', async () => {
    const shared = new MemoryShared();
    const { cache, ask } = setUp(shared);
    await ask(PART, [1]);
    for (const [day, slot] of [
      [DAY - DAY_MS, 5],
      [DAY + 2 * DAY_MS, 5],
      [DAY, 6],
    ] as const)
      cache.drop(day, slot);
    expect(cache.bytes).toBeGreaterThan(0);
    expect(shared.kept.size).toBe(1);
    cache.drop(DAY + DAY_MS, 5);
    expect(cache.bytes).toBe(0);
    expect(shared.kept.size).toBe(0);
    await ask({ ...PART, slots: undefined }, [1]);
    cache.drop(DAY, 63);
    expect(cache.bytes).toBe(0);
  });

  test('that is begun in the middle of a day is dropped with that day', async () => {
    const { cache, ask } = setUp();
    await ask({ ...PART, fromMs: DAY + DAY_MS / 2 }, [1]);
    cache.drop(DAY, 5);
    expect(cache.bytes).toBe(0);
  });

  test('stays within a bound, and one that is too large is not kept at all', async () => {
    const shared = new MemoryShared();
    const { cache, ask } = setUp(shared);
    const rows = ['x'.repeat(1_000_000)];
    for (let ad = 0; ad < 100; ad++) await ask({ ...PART, question: `ad ${ad}` }, rows);
    expect(cache.bytes).toBeLessThanOrEqual(64 * 2 ** 20);
    expect(cache.bytes).toBeGreaterThan(32 * 2 ** 20);
    shared.kept.clear();
    await ask({ ...PART, question: 'large' }, ['x'.repeat(3_000_000)]);
    expect(await ask({ ...PART, question: 'large' }, ['read again'])).toEqual(['read again']);
    expect([...shared.kept.keys()]).toEqual(['large']);
  });
});
