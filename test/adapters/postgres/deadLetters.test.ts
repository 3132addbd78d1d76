/** Dead letters as people and redrives read them, and the mark of a redriven one. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { markRedriven } from '../../../src/adapters/postgres/markRedriven.ts';
import {
  countDeadLetters,
  newestDeadLetters,
  waitingDeadLetters,
} from '../../../src/adapters/postgres/readDeadLetters.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { DeadLetter, StoredDeadLetter } from '../../../src/domain/deadLetter.ts';
import {
  addShard,
  emptyLedger,
  flushOf,
  INCARNATION,
  type Ledger,
  openLedger,
  partitionsOf,
} from './ledger.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => emptyLedger(ledger));

function letter(sequence: number, index = 0, reason: DeadLetter['reason'] = 'undecodable'): DeadLetter {
  return { sequence, index, reason, bytes: Buffer.from([0, 255, sequence]) };
}

/** As an owner stores them: letters of a shard with a flush. */
async function bury(shard: number, floor: number, ...deadLetters: DeadLetter[]): Promise<void> {
  if (floor === 0) await addShard(ledger, shard);
  const flush = flushOf({ shard, floor, newFloor: floor + 10, deadLetters });
  expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
}

async function placesOf(letters: AsyncIterable<StoredDeadLetter>): Promise<string[]> {
  const places: string[] = [];
  for await (const { shard, sequence, index } of letters) places.push(`${shard}/${sequence}/${index}`);
  return places;
}

const newest = (selection = {}, limit = 1_000) => placesOf(newestDeadLetters(ledger.pool, selection, limit));
const waiting = (selection = {}) => placesOf(waitingDeadLetters(ledger.pool, selection));
const at = (shard: number, sequence: number, index = 0) => ({
  shard,
  incarnation: INCARNATION,
  sequence,
  index,
});

describe('dead letters', () => {
  test('that were stored last are the newest, whatever shard they stand on', async () => {
    await bury(1, 0, letter(3), letter(3, 1), letter(4));
    await bury(0, 0, letter(9));
    await bury(1, 10, letter(11));
    expect(await newest()).toEqual(['1/11/0', '0/9/0', '1/4/0', '1/3/1', '1/3/0']);
    expect(await newest({}, 2)).toEqual(['1/11/0', '0/9/0']);
  });

  test('are what was stored, with the moment of it', async () => {
    const beforeMs = Date.now();
    await bury(2, 0, letter(5, 7, 'unjudgeable'));
    const [read] = await Array.fromAsync(newestDeadLetters(ledger.pool, {}, 10));
    expect(read).toMatchObject({ ...at(2, 5, 7), reason: 'unjudgeable', redriven: undefined });
    expect(Buffer.from(read?.bytes ?? [])).toEqual(Buffer.from([0, 255, 5]));
    expect(read?.buriedMs).toBeGreaterThan(beforeMs - 60_000);
    expect(read?.buriedMs).toBeLessThan(Date.now() + 60_000);
  });

  test('of before their moment was written down are the oldest', async () => {
    await ledger.pool.query(
      `insert into dead_letter (shard, incarnation, sequence, index, reason, bytes, buried_at)
       values (9, 'old', 99, 0, 'undecodable', '', '-infinity')`,
    );
    await bury(0, 0, letter(1));
    const read = await Array.fromAsync(newestDeadLetters(ledger.pool, {}, 10));
    expect(read.map(({ sequence }) => sequence)).toEqual([1, 99]);
    expect(read[1]?.buriedMs).toBe(Number.NEGATIVE_INFINITY);
  });

  test('are selected by shard, sequence, index and reason', async () => {
    await bury(0, 0, letter(3), letter(3, 1, 'misrouted'), letter(4));
    await bury(1, 0, letter(3), letter(4, 1, 'misrouted'));
    expect((await newest({ shard: 1 })).sort()).toEqual(['1/3/0', '1/4/1']);
    expect((await newest({ reason: 'misrouted' })).sort()).toEqual(['0/3/1', '1/4/1']);
    expect((await newest({ shard: 0, sequence: 3 })).sort()).toEqual(['0/3/0', '0/3/1']);
    expect(await newest({ shard: 0, sequence: 3, index: 0 })).toEqual(['0/3/0']);
    expect(await newest({ shard: 7 })).toEqual([]);
    expect(await countDeadLetters(ledger.pool, { shard: 0, sequence: 3 })).toEqual({
      letters: 2,
      redriven: 0,
    });
    expect(await waiting({ shard: 0, reason: 'misrouted' })).toEqual(['0/3/1']);
  });

  test('of many pages come each once, also when others are stored and marked meanwhile', async () => {
    const many = Array.from({ length: 120 }, (_, index) => letter(1 + Math.floor(index / 2), index % 2));
    await bury(0, 0, ...many);
    const inOrder = many.map(({ sequence, index }) => `0/${sequence}/${index}`);
    expect(await waiting()).toEqual(inOrder);
    const seen: string[] = [];
    for await (const one of waitingDeadLetters(ledger.pool, {})) {
      seen.push(`${one.shard}/${one.sequence}/${one.index}`);
      await markRedriven(ledger.pool, one, { shard: 1, incarnation: 'i', sequence: seen.length });
    }
    expect(seen).toEqual(inOrder);
    const newestFirst: string[] = [];
    for await (const one of newestDeadLetters(ledger.pool, {}, 1_000)) {
      if (newestFirst.length === 0) await bury(1, 0, letter(1));
      newestFirst.push(`${one.shard}/${one.sequence}/${one.index}`);
    }
    expect(newestFirst).toEqual(inOrder.toReversed());
    expect(await newest({}, 70)).toHaveLength(70);
  });
});

describe('a redriven letter', () => {
  test('says where its clicks stand now, waits no more, and is still there', async () => {
    await bury(0, 0, letter(3), letter(3, 1));
    await markRedriven(ledger.pool, at(0, 3, 1), { shard: 5, incarnation: 'there', sequence: 2 ** 40 });
    expect(await waiting()).toEqual(['0/3/0']);
    expect(await countDeadLetters(ledger.pool, {})).toEqual({ letters: 2, redriven: 1 });
    const [read] = await Array.fromAsync(
      newestDeadLetters(ledger.pool, { shard: 0, sequence: 3, index: 1 }, 1),
    );
    expect(read?.redriven).toMatchObject({ shard: 5, incarnation: 'there', sequence: 2 ** 40 });
    expect(read?.redriven?.atMs).toBeGreaterThanOrEqual(read?.buriedMs ?? Number.NaN);
  });

  test('keeps its first mark', async () => {
    await bury(0, 0, letter(3));
    await markRedriven(ledger.pool, at(0, 3), { shard: 5, incarnation: 'there', sequence: 1 });
    await markRedriven(ledger.pool, at(0, 3), { shard: 6, incarnation: 'elsewhere', sequence: 2 });
    const [read] = await Array.fromAsync(newestDeadLetters(ledger.pool, {}, 1));
    expect(read?.redriven).toMatchObject({ shard: 5, incarnation: 'there', sequence: 1 });
  });

  test('is not one of another incarnation of its stream', async () => {
    await bury(0, 0, letter(3));
    await markRedriven(
      ledger.pool,
      { ...at(0, 3), incarnation: 'before' },
      { shard: 5, incarnation: 'i', sequence: 1 },
    );
    expect(await waiting()).toEqual(['0/3/0']);
  });
});

test('a mark without a position is refused', async () => {
  const { rows } = await ledger.pool
    .query(
      `insert into dead_letter (shard, incarnation, sequence, index, reason, bytes, redriven_at)
     values (0, 'i', 1, 0, 'misrouted', '', now()) returning 1`,
    )
    .catch((error: Error) => ({ rows: [error.message] }));
  expect(String(rows[0])).toContain('dead_letter_redriven_whole');
});
