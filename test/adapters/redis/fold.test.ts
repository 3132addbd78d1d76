/**
 * The fold inside Redis (fold.lua, reset.lua, foldMemory.ts) held against its definition (domain/fold.ts), letter by
 * letter; then the replies of I5, what is freed and when (I6), and that trouble is never a verdict (I7).
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { connectRedis, type FoldMemory, loadFoldMemories } from '../../../src/adapters/redis/foldMemory.ts';
import { redisServer } from '../../../src/cli/stack/redisServer.ts';
import { FOLD_RECORD_BYTES, Fold, foldSeconds } from '../../../src/domain/fold.ts';
import { CLICK_HASH_BYTES, IDENTITY_HASH_BYTES } from '../../../src/domain/identity.ts';
import { startOwn } from '../../support/ownServer.ts';
import { freshRedis, startRedis } from '../../support/redis.ts';
import {
  foldRecords,
  rebuild,
  START_MS,
  seededNumbers,
  type TestMessage,
  type TestRecord,
  testStream,
} from './foldRecords.ts';

const INCARNATION = '2025-10-09T08:53:20.123456789Z';
const HORIZON_MS = 60_000;
/** Of what is remembered: 12 of the identity, 8 of the click_id, 4 of the time. */
const ENTRY_BYTES = 24;
/** Redis closes the connection on purpose in some tests; commands then fail, and that is what is looked at. */
const quiet = () => undefined;

let redis: Redis;
let nextShard = 0;

async function connect(url: string): Promise<Redis> {
  const client = connectRedis(url, quiet);
  await once(client, 'ready');
  return client;
}

beforeAll(async () => {
  redis = await connect((await freshRedis()).url);
});

afterAll(() => redis.disconnect());

interface Shard {
  readonly memory: FoldMemory;
  readonly key: string;
}

/** A memory that no other test uses; begun at the start of its stream unless it is said otherwise. */
async function newShard({ horizonMs = HORIZON_MS, begun = true, client = redis } = {}): Promise<Shard> {
  const shard = nextShard++;
  const memory = (await loadFoldMemories(client, horizonMs))(shard, INCARNATION);
  if (begun) await memory.reset(randomBytes(6).toString('hex'), 0, 0);
  return { memory, key: `fold2:{${shard}:${INCARNATION}}` };
}

async function keysOf(key: string, client = redis): Promise<string[]> {
  const escaped = key.replaceAll(/[[\]?*\\]/g, '\\$&');
  const keys: string[] = [];
  for await (const page of client.scanStream({ match: `${escaped}*`, count: 10_000 })) {
    keys.push(...(page as string[]));
  }
  return keys.sort();
}

/** Fields and values of a hash, both as they are: most fields of a memory are no text. */
async function fieldsOf(key: string, client = redis): Promise<[field: Buffer, value: Buffer][]> {
  const flat = (await client.callBuffer('HGETALL', key)) as Buffer[];
  return Array.from({ length: flat.length / 2 }, (_, pair) => [
    flat[2 * pair] as Buffer,
    flat[2 * pair + 1] as Buffer,
  ]);
}

/** How many entries there are in each bucket. */
async function bucketSizes(key: string, client = redis): Promise<number[]> {
  const fields = await fieldsOf(key, client);
  return fields.filter(([field]) => field.length === 4).map(([, entries]) => entries.length / ENTRY_BYTES);
}

/** How many last-seen entries really are in Redis. */
async function entriesIn(key: string, client = redis): Promise<number> {
  return (await bucketSizes(key, client)).reduce((sum, size) => sum + size, 0);
}

async function count(memory: FoldMemory, message: TestMessage, floor = 0): Promise<string> {
  const reply = await memory.fold(message.sequence, message.timestampMs, message.records, floor, 'count');
  if (reply.kind !== 'verdicts') throw new Error(`message ${message.sequence} was answered ${reply.kind}`);
  return reply.letters;
}

/** Everything that Redis holds of a shard, to see that a call changed nothing. */
async function contents(key: string): Promise<Record<string, Record<string, string>>> {
  const all: Record<string, Record<string, string>> = {};
  for (const name of await keysOf(key)) {
    const fields = await fieldsOf(name);
    all[name] = Object.fromEntries(
      fields.map(([field, value]) => [field.toString('latin1'), value.toString('hex')]),
    );
  }
  return all;
}

function streamOf(...messages: TestRecord[][]): TestMessage[] {
  return testStream(messages.map((records) => ({ stepMs: 0, records })));
}

const recordIn = (identities: number, clicks: number, billable: fc.Arbitrary<boolean>) =>
  fc.tuple(fc.nat(identities - 1), fc.nat(clicks - 1), billable);

/** A counterexample is shortened for a while only: one that is long is better than a timeout without any. */
const SHRINKING = { interruptAfterTimeLimit: 30_000 };

/** From one hammered URL (clicks spill) to so many identities that buckets split. */
const SHAPES = [
  { identities: 1, clicks: 24, billable: fc.boolean() },
  { identities: 1, clicks: 24, billable: fc.constant(false) },
  { identities: 3, clicks: 12, billable: fc.boolean() },
  { identities: 6, clicks: 3, billable: fc.boolean() },
  { identities: 400, clicks: 2, billable: fc.boolean() },
];
const streams = fc.constantFrom(...SHAPES).chain(({ identities, clicks, billable }) =>
  fc.record({
    horizonSeconds: fc.integer({ min: 1, max: 12 }),
    steps: fc.array(
      fc.record({
        stepMs: fc.integer({ min: -4_000, max: 5_000 }),
        records: fc.array(recordIn(identities, clicks, billable), { maxLength: 40, size: 'max' }),
        askAgain: fc.boolean(),
        floorBehind: fc.nat(3),
      }),
      { minLength: 1, maxLength: 40, size: 'max' },
    ),
  }),
);

describe('against the definition', () => {
  test('any stream gets the same verdict on every record, asked once or twice', async () => {
    await fc.assert(
      fc.asyncProperty(streams, async ({ horizonSeconds, steps }) => {
        const horizonMs = horizonSeconds * 1_000;
        const { memory } = await newShard({ horizonMs });
        const definition = new Fold(horizonMs);
        for (const [index, message] of testStream(steps).entries()) {
          const { askAgain = false, floorBehind = 0 } = steps[index] ?? {};
          const floor = Math.max(0, message.sequence - 1 - floorBehind);
          const letters = definition.apply(message.timestampMs, message.records);
          expect(await count(memory, message, floor)).toBe(letters);
          if (askAgain) expect(await count(memory, message, floor)).toBe(letters);
        }
      }),
      { numRuns: 200, ...SHRINKING },
    );
  }, 120_000);

  test('a memory lost at any message and filled again from one horizon back judges on as if nothing was', async () => {
    await fc.assert(
      fc.asyncProperty(streams, fc.nat(), fc.boolean(), async ({ horizonSeconds, steps }, where, wiped) => {
        const horizonMs = horizonSeconds * 1_000;
        const stream = testStream(steps);
        const next = 1 + (where % stream.length);
        const { memory, key } = await newShard({ horizonMs });
        const definition = new Fold(horizonMs);
        for (const message of stream) {
          if (message.sequence === next) {
            if (wiped) await redis.del(...(await keysOf(key)));
            await rebuild(memory, 'again', stream, next, horizonMs);
          }
          const letters = definition.apply(message.timestampMs, message.records);
          expect(await count(memory, message)).toBe(letters);
        }
      }),
      { numRuns: 120, ...SHRINKING },
    );
  }, 120_000);

  test('thousands of identities over many horizons: buckets split, sweeps run, no verdict differs', async () => {
    const number = seededNumbers(20_251_009);
    const { memory, key } = await newShard({ horizonMs: 20_000 });
    const definition = new Fold(20_000);
    let timestampMs = START_MS;
    for (let sequence = 1; sequence <= 400; sequence++) {
      timestampMs += number(500) - 100;
      const records = Array.from(
        { length: 100 },
        (): TestRecord => [number(4_000), number(3), number(5) > 0],
      );
      const message = { sequence, timestampMs, records: foldRecords(records) };
      const letters = definition.apply(timestampMs, message.records);
      expect(await count(memory, message, sequence - 2)).toBe(letters);
    }
    const [buckets, sweep, entries] = await redis.hmget(key, 'buckets', 'sweep', 'entries');
    expect(Number(buckets)).toBeGreaterThan(100);
    expect(Number(sweep)).toBe(40_000);
    expect(await entriesIn(key)).toBe(Number(entries));
  });

  test('the first message finds as many buckets as it needs: in one, each record would look through all before it', async () => {
    const { memory, key } = await newShard();
    const definition = new Fold(HORIZON_MS);
    const records = Array.from({ length: 10_000 }, (_, index): TestRecord => [index % 9_000, 1, true]);
    for (const message of streamOf(records))
      expect(await count(memory, message)).toBe(definition.apply(message.timestampMs, message.records));
    // Splitting alone comes to 1,001 by one message.
    expect(Number(await redis.hget(key, 'buckets'))).toBe(9_000 / 8);
    expect(Math.max(...(await bucketSizes(key)))).toBeLessThan(40);
  });

  test('where there are buckets, their number is not taken for another, whatever is told of their entries', async () => {
    const { memory, key } = await newShard();
    const [first, second] = streamOf(
      [[1, 1, true]],
      [...Array(2_000).keys()].map((id): TestRecord => [id, 1, true]),
    );
    if (first === undefined || second === undefined) throw new Error('two messages were made');
    await count(memory, first);
    // As where a script ended half way: what it wrote is there, and not told of.
    await redis.hset(key, 'entries', 0);
    expect(await count(memory, second)).toBe(`VD${'V'.repeat(1_998)}`);
  });

  test('more click_ids on an identity than its entry holds are remembered, and forgotten one horizon later', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const hammered = Array.from({ length: 40 }, (_, click): TestRecord => [1, click, true]);
    const steps = [0, 3_000, 10_000, 11_000, 0, 25_000].map((stepMs) => ({ stepMs, records: hammered }));
    const stream = testStream(steps);
    const verdicts: string[] = [];
    for (const message of stream) verdicts.push(await count(memory, message));
    const first = `V${'R'.repeat(39)}`;
    const again = 'D'.repeat(40);
    // After 10 s, just inside the horizon: seen. After 11 s, just outside: forgotten.
    expect(verdicts).toEqual([first, again, again, first, again, first]);
  });

  test('click_ids beyond those in the entry outlive it when they alone are seen again, sweeps or not', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const refused = Array.from({ length: 20 }, (_, click): TestRecord => [1, click, false]);
    const others = Array.from({ length: 200 }, (_, index): TestRecord => [2 + (index % 3), 0, false]);
    const last = refused.slice(-3);
    const verdicts: string[] = [];
    const steps = [
      { stepMs: 0, records: refused },
      { stepMs: 9_000, records: last },
      // By now the first seventeen are forgotten, the last three are not; and every bucket is swept.
      { stepMs: 2_000, records: others },
      { stepMs: 0, records: refused },
      { stepMs: 9_000, records: last },
      { stepMs: 2_000, records: others },
      { stepMs: 8_000, records: last },
    ];
    for (const message of testStream(steps)) verdicts.push(await count(memory, message));
    expect([verdicts[1], verdicts[3], verdicts[4], verdicts[6]]).toEqual([
      'DDD',
      `${'C'.repeat(17)}DDD`,
      'DDD',
      'DDD',
    ]);
  });

  test('an identity kept alive by refused clicks alone has never been seen as billable', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const stream = testStream([
      { stepMs: 0, records: [[1, 1, true]] },
      { stepMs: 9_000, records: [[1, 2, false]] },
      {
        stepMs: 9_000,
        records: [
          [1, 2, true],
          [1, 3, true],
        ],
      },
    ]);
    const verdicts: string[] = [];
    for (const message of stream) verdicts.push(await count(memory, message));
    // The duplicate of the refused click is billable content: it marks the identity as seen (I4).
    expect(verdicts).toEqual(['V', 'C', 'DR']);
  });

  test('a timestamp that steps back does not turn stream time back', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const stream = testStream([
      { stepMs: 0, records: [[1, 1, true]] },
      { stepMs: 11_000, records: [] },
      { stepMs: -11_000, records: [[1, 1, true]] },
    ]);
    const verdicts: string[] = [];
    for (const message of stream) verdicts.push(await count(memory, message));
    expect(verdicts).toEqual(['V', '', 'V']);
  });
});

describe('the replies of I5', () => {
  const stream = streamOf(
    [[1, 1, true]],
    [[1, 1, true]],
    [[1, 2, true]],
    [[2, 3, false]],
    [[2, 3, true]],
    [[2, 4, true]],
  );
  const message = (sequence: number): TestMessage => {
    const found = stream[sequence - 1];
    if (found === undefined) throw new Error(`no message ${sequence}`);
    return found;
  };
  const ask = (memory: FoldMemory, sequence: number, floor = 0, purpose: 'count' | 'warm' = 'count') =>
    memory.fold(sequence, message(sequence).timestampMs, message(sequence).records, floor, purpose);

  test('none where there is no memory, for counting and for filling, and nothing is begun by asking', async () => {
    const { memory, key } = await newShard({ begun: false });
    expect(await ask(memory, 1)).toEqual({ kind: 'none' });
    expect(await ask(memory, 1, 0, 'warm')).toEqual({ kind: 'none' });
    expect(await keysOf(key)).toEqual([]);
  });

  test('behind says where the memory stands, and changes nothing', async () => {
    const { memory, key } = await newShard({ begun: false });
    await memory.reset('one', 1, 3);
    await ask(memory, 2, 0, 'warm');
    const before = await contents(key);
    const streamTimeMs = foldSeconds(START_MS) * 1_000;
    expect(await ask(memory, 4)).toEqual({ kind: 'behind', through: 2, warm: 3, streamTimeMs });
    expect(await ask(memory, 6, 0, 'warm')).toEqual({ kind: 'behind', through: 2, warm: 3, streamTimeMs });
    expect(await contents(key)).toEqual(before);
  });

  test('a message whose answer was lost is answered the same again, and changes nothing', async () => {
    const { memory, key } = await newShard();
    const first: string[] = [];
    for (const one of stream) first.push(await count(memory, one));
    expect(first).toEqual(['V', 'D', 'R', 'C', 'D', 'R']);
    const before = await contents(key);
    const second: string[] = [];
    for (const one of stream) second.push(await count(memory, one));
    expect(second).toEqual(first);
    expect(await contents(key)).toEqual(before);
  });

  test('filling gives done, again too, stores no verdicts, and its messages are gone for counting', async () => {
    const { memory, key } = await newShard({ begun: false });
    await memory.reset('one', 0, 3);
    for (const sequence of [1, 2, 2, 1, 3, 3]) {
      expect(await ask(memory, sequence, 0, 'warm')).toEqual({ kind: 'done' });
    }
    expect(await redis.exists(`${key}:verdicts`)).toBe(0);
    for (const sequence of [1, 2, 3]) expect(await ask(memory, sequence)).toEqual({ kind: 'gone' });
    // What was filled is remembered: 2 and 3 are a duplicate and a repeat of the identity that 1 brought.
    expect(await ask(memory, 4)).toEqual({ kind: 'verdicts', letters: 'C' });
    expect(await redis.hkeys(`${key}:verdicts`)).toEqual(['4']);
  });

  test('an owner at or below warm is sent away even where the memory is not filled so far', async () => {
    const { memory } = await newShard({ begun: false });
    await memory.reset('one', 0, 3);
    expect(await ask(memory, 1)).toEqual({ kind: 'gone' });
    expect(await ask(memory, 3)).toEqual({ kind: 'gone' });
    expect(await ask(memory, 4)).toMatchObject({ kind: 'behind', through: 0, warm: 3 });
  });

  test('messages folded to fill beyond warm are gone for an owner, not judged a second time', async () => {
    const { memory } = await newShard();
    expect(await ask(memory, 1, 0, 'warm')).toEqual({ kind: 'done' });
    expect(await ask(memory, 1)).toEqual({ kind: 'gone' });
    expect(await ask(memory, 2)).toEqual({ kind: 'verdicts', letters: 'D' });
  });

  test('an empty message is folded and answered like any other', async () => {
    const { memory } = await newShard();
    const empty = { sequence: 1, timestampMs: START_MS, records: Buffer.alloc(0) };
    expect(await count(memory, empty)).toBe('');
    expect(await count(memory, empty)).toBe('');
    expect(await ask(memory, 2)).toEqual({ kind: 'verdicts', letters: 'V' });
  });
});

describe('verdicts are freed', () => {
  /** Folds 1 to `through`, each under floor 0. */
  async function folded(through: number, warm = 0): Promise<Shard & { stream: TestMessage[] }> {
    const shard = await newShard({ begun: false });
    await shard.memory.reset('one', warm, warm);
    const stream = testStream(
      Array.from({ length: through + 1_200 }, (_, index) => ({ stepMs: 0, records: [[index, 0, true]] })),
    );
    for (const message of stream.slice(warm, through)) await count(shard.memory, message);
    return { ...shard, stream };
  }
  const kept = async (key: string) =>
    (await redis.hkeys(`${key}:verdicts`)).map(Number).sort((left, right) => left - right);

  test('only at or below the floor: everything beyond it is still answered', async () => {
    const { memory, key, stream } = await folded(10);
    expect(await kept(key)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await count(memory, stream[10] as TestMessage, 4);
    expect(await kept(key)).toEqual([5, 6, 7, 8, 9, 10, 11]);
    expect(await memory.fold(4, START_MS, stream[3]?.records as Buffer, 4, 'count')).toEqual({
      kind: 'gone',
    });
    expect(await memory.fold(5, START_MS, stream[4]?.records as Buffer, 4, 'count')).toEqual({
      kind: 'verdicts',
      letters: 'V',
    });
  });

  test('and only at or below what is folded, however far the caller says its floor is', async () => {
    const { memory, key, stream } = await folded(3);
    expect(await count(memory, stream[3] as TestMessage, 1_000_000)).toBe('V');
    expect(await kept(key)).toEqual([]);
    expect(await count(memory, stream[4] as TestMessage, 0)).toBe('V');
    expect(await kept(key)).toEqual([5]);
    await count(memory, stream[5] as TestMessage, 5);
    expect(await kept(key)).toEqual([6]);
  });

  test('a caller whose floor is older brings nothing back and frees nothing', async () => {
    const { memory, key, stream } = await folded(6);
    await count(memory, stream[6] as TestMessage, 5);
    await count(memory, stream[7] as TestMessage, 2);
    expect(await kept(key)).toEqual([6, 7, 8]);
  });

  test('a bounded number a call, but all of them in the end', async () => {
    const { memory, key, stream } = await folded(1_200);
    await count(memory, stream[1_200] as TestMessage, 1_200);
    const left = (await kept(key)).length;
    expect(left).toBeGreaterThan(1);
    expect(left).toBeLessThan(1_201);
    for (let index = 1_201; index < 1_205; index++) await count(memory, stream[index] as TestMessage, 1_200);
    expect(await kept(key)).toEqual([1_201, 1_202, 1_203, 1_204, 1_205]);
  });

  test('far up a long stream too, where the first of them is just beyond warm', async () => {
    const { memory, key, stream } = await folded(105, 100);
    expect(await kept(key)).toEqual([101, 102, 103, 104, 105]);
    await count(memory, stream[105] as TestMessage, 103);
    expect(await kept(key)).toEqual([104, 105, 106]);
  });
});

describe('memory is freed', () => {
  test('by stream time: entries are there until the horizon is over, and gone after later traffic', async () => {
    const { memory, key } = await newShard({ horizonMs: 10_000 });
    let sequence = 0;
    const fold = async (timestampMs: number, from: number, identities: number) => {
      sequence += 1;
      const records = foldRecords(
        Array.from({ length: identities }, (_, index): TestRecord => [from + index, 0, true]),
      );
      await count(memory, { sequence, timestampMs, records }, sequence - 1);
    };
    for (let batch = 0; batch < 20; batch++) await fold(START_MS, batch * 100, 100);
    expect(await entriesIn(key)).toBe(2_000);
    // The same 40 identities again and again: so many records that each bucket is visited several times.
    for (let turn = 0; turn < 150; turn++) await fold(START_MS + 10_000, 10_000, 40);
    expect(await entriesIn(key)).toBe(2_040);
    for (let turn = 0; turn < 150; turn++) await fold(START_MS + 11_000, 10_000, 40);
    expect(await entriesIn(key)).toBe(40);
    expect(Number(await redis.hget(key, 'entries'))).toBe(40);
    // Buckets in which there is nothing are not kept.
    expect(Math.min(...(await bucketSizes(key)))).toBeGreaterThan(0);
  });

  test('of hammered identities too, with the fields that their click_ids have of their own', async () => {
    const { memory, key } = await newShard({ horizonMs: 10_000 });
    const hammered = Array.from({ length: 60 }, (_, click): TestRecord => [1, click, true]);
    const later = Array.from({ length: 60 }, (): TestRecord => [2, 0, true]);
    const steps = [
      { stepMs: 0, records: hammered },
      { stepMs: 11_000, records: later },
      { stepMs: 0, records: later },
      { stepMs: 0, records: later },
    ];
    const sizes: number[] = [];
    for (const message of testStream(steps)) {
      await count(memory, message, message.sequence - 1);
      sizes.push(await entriesIn(key));
    }
    expect(sizes[0]).toBeGreaterThan(50);
    expect(sizes.at(-1)).toBe(1);
  });

  test('a click that comes again and again, billable and refused in turn, needs no more room than one', async () => {
    const { memory, key } = await newShard();
    const stream = testStream(
      Array.from({ length: 50 }, (_, turn) => ({ stepMs: 1_000, records: [[1, 1, turn % 2 === 0]] })),
    );
    for (const message of stream) await count(memory, message);
    // The click_id, and when its identity was last seen as billable.
    expect(await entriesIn(key)).toBe(2);
  });

  test('an old generation goes with the reset, however many buckets and verdicts it had', async () => {
    const { memory, key } = await newShard({ begun: false });
    await memory.reset('old', 0, 0);
    for (let batch = 0; batch < 100; batch++) {
      const records = foldRecords(
        Array.from({ length: 200 }, (_, index): TestRecord => [batch * 200 + index, 0, true]),
      );
      await count(memory, { sequence: batch + 1, timestampMs: START_MS, records });
    }
    expect(await entriesIn(key)).toBe(20_000);
    await memory.reset('new', 100, 100);
    expect(await keysOf(key)).toEqual([key]);
    expect(await entriesIn(key)).toBe(0);
    const records = foldRecords([[1, 0, true]]);
    expect(await count(memory, { sequence: 101, timestampMs: START_MS, records })).toBe('V');
    expect(await keysOf(key)).toEqual([key, `${key}:verdicts`]);
    expect(await redis.hkeys(`${key}:verdicts`)).toEqual(['101']);
    expect(await entriesIn(key)).toBe(1);
  });

  test('an old generation is forgotten at once: what it had seen is not seen', async () => {
    const { memory } = await newShard();
    const [first, second] = streamOf([[1, 1, true]], [[1, 1, true]]);
    expect(await count(memory, first as TestMessage)).toBe('V');
    await memory.reset('other', 1, 1);
    expect(await count(memory, second as TestMessage)).toBe('V');
  });
});

describe('a script that stops half way', () => {
  /** The script of production, with few buckets a write, in which the write number `writes` + 1 fails. */
  async function stoppedScript(writes: number): Promise<string> {
    const file = resolve(import.meta.dirname, '../../../src/adapters/redis/fold.lua');
    const prelude = `local made, whole = 0, redis.call
      local redis = { call = function(name, ...)
        if string.find(' HSET HSETNX HDEL ', ' ' .. name .. ' ', 1, true) then
          made = made + 1
          if made > ${writes} then error('stopped on purpose') end
        end
        return whole(name, ...)
      end }\n`;
    const script = await readFile(file, 'utf8');
    const limit = /local WRITES_MAX = \d+/;
    expect(script).toMatch(limit);
    return prelude + script.replace(limit, 'local WRITES_MAX = 2');
  }

  async function stopIn(
    key: string,
    message: TestMessage,
    writes: number,
    purpose: string,
  ): Promise<boolean> {
    const { sequence, timestampMs, records } = message;
    const seconds = foldSeconds(timestampMs);
    const horizon = foldSeconds(HORIZON_MS);
    try {
      const script = await stoppedScript(writes);
      await redis.eval(script, 1, key, sequence, seconds, horizon, sequence - 2, purpose, records);
      return false;
    } catch (error) {
      expect(String(error)).toContain('stopped on purpose');
      return true;
    }
  }

  // Message 2 repeats and duplicates what message 1 brought, hammers an identity, and makes buckets split in which
  // there is nothing of its own.
  const known = Array.from({ length: 600 }, (_, index): TestRecord => [1_000 + index, 0, true]);
  const many = Array.from({ length: 120 }, (_, index): TestRecord => [100 + index, 0, true]);
  const hammered = Array.from({ length: 12 }, (_, click): TestRecord => [1, click, true]);
  const half: TestRecord[] = [[1, 0, true], ...hammered, [2, 0, false], [2, 0, true], ...many];
  const stream = streamOf(
    [[1, 50, true], [2, 1, true], [3, 0, false], ...known],
    half,
    [...half, [3, 0, true], [4, 0, true], ...known],
    half,
  );

  test.each(['count', 'warm'] as const)(
    'anywhere, and is run again for purpose %s: every verdict is as if it had not stopped',
    async (purpose) => {
      const definition = new Fold(HORIZON_MS);
      const letters = stream.map(({ timestampMs, records }) => definition.apply(timestampMs, records));
      let stops = 0;
      for (let writes = 0; writes < 400; writes++) {
        const { memory, key } = await newShard({ begun: false });
        await memory.reset('one', 0, 0);
        const [first, second, ...rest] = stream as [TestMessage, TestMessage, ...TestMessage[]];
        await count(memory, first);
        if (!(await stopIn(key, second, writes, purpose))) break;
        stops += 1;
        const reply = await memory.fold(2, second.timestampMs, second.records, 0, purpose);
        expect(reply, `stopped after ${writes} writes`).toEqual(
          purpose === 'count' ? { kind: 'verdicts', letters: letters[1] } : { kind: 'done' },
        );
        for (const message of rest) {
          expect(await count(memory, message), `stopped after ${writes} writes`).toBe(
            letters[message.sequence - 1],
          );
        }
      }
      // One write for two touched buckets: otherwise nothing was stopped in the middle.
      expect(stops).toBeGreaterThan(20);
    },
    120_000,
  );

  test('verdicts that stand there already are the answer, whatever the memory would say by now', async () => {
    const { memory, key } = await newShard({ begun: false });
    await memory.reset('one', 0, 0);
    const [first, second] = streamOf(
      [
        [1, 1, true],
        [2, 1, true],
      ],
      [[1, 1, true]],
    ) as [TestMessage, TestMessage];
    await redis.hset(`${key}:verdicts`, '1', 'RV');
    expect(await count(memory, first)).toBe('RV');
    expect(await count(memory, second)).toBe('D');
  });
});

describe('what Redis may do meanwhile', () => {
  test('a Redis that forgot its scripts is given them again', async () => {
    const { memory } = await newShard();
    const stream = streamOf([[1, 1, true]], [[1, 1, true]], [[1, 2, true]]);
    const verdicts: string[] = [];
    for (const message of stream) {
      await redis.script('FLUSH');
      verdicts.push(await count(memory, message));
    }
    await redis.script('FLUSH');
    await memory.reset('next', 3, 3);
    expect(verdicts).toEqual(['V', 'D', 'R']);
  });

  test('every byte that a hash may hold is kept as it is: zero, line breaks, quotes, 255', async () => {
    const { memory } = await newShard();
    const record = (identityByte: number, clickByte: number) =>
      Buffer.concat([
        Buffer.alloc(IDENTITY_HASH_BYTES, identityByte),
        Buffer.alloc(CLICK_HASH_BYTES, clickByte),
        Buffer.from([1]),
      ]);
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const all = Buffer.concat(bytes.map((byte) => record(byte, 255 - byte)));
    const others = Buffer.concat(bytes.map((byte) => record(byte, byte)));
    expect(await count(memory, { sequence: 1, timestampMs: START_MS, records: all })).toBe('V'.repeat(256));
    expect(await count(memory, { sequence: 2, timestampMs: START_MS, records: all })).toBe('D'.repeat(256));
    expect(await count(memory, { sequence: 3, timestampMs: START_MS, records: others })).toBe(
      'R'.repeat(256),
    );
  });

  test('hashes that end like the mark of further click_ids are not taken for it', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const mark = Buffer.from('ssssssss');
    const record = (click: Buffer) =>
      Buffer.concat([Buffer.alloc(IDENTITY_HASH_BYTES, 's'), click, Buffer.from([1])]);
    const clicks = Array.from({ length: 20 }, (_, index) => {
      const click = Buffer.from(mark);
      click[index % 8] = 0x60 + index;
      return record(click);
    });
    const records = Buffer.concat([...clicks, record(mark)]);
    const definition = new Fold(10_000);
    for (const [index, stepMs] of [0, 9_000, 11_000, 40_000].entries()) {
      const message = { sequence: index + 1, timestampMs: START_MS + index * stepMs, records };
      expect(await count(memory, message)).toBe(definition.apply(message.timestampMs, records));
    }
  });

  test('bytes in the middle of an entry are not taken for an identity, nor for a click_id', async () => {
    const { memory } = await newShard();
    const definition = new Fold(HORIZON_MS);
    const bytes = Buffer.from(Array.from({ length: 40 }, (_, index) => index + 1));
    // Each begins one byte further on in the first one's row of bytes; of all one byte, they begin anywhere.
    const shifted = (offset: number) =>
      Buffer.concat([bytes.subarray(offset, offset + 20), Buffer.from([1])]);
    const same = Buffer.alloc(IDENTITY_HASH_BYTES + CLICK_HASH_BYTES, 7);
    const records = Buffer.concat([
      ...Array.from({ length: 20 }, (_, offset) => shifted(offset)),
      Buffer.concat([same, Buffer.from([1])]),
      Buffer.concat([same.subarray(0, 19), Buffer.from([8, 1])]),
      Buffer.concat([same, Buffer.from([0])]),
    ]);
    for (const sequence of [1, 2]) {
      expect(await count(memory, { sequence, timestampMs: START_MS, records })).toBe(
        definition.apply(START_MS, records),
      );
    }
  });

  test('times go on where their 29 bits begin again', async () => {
    const { memory } = await newShard({ horizonMs: 10_000 });
    const definition = new Fold(10_000);
    const number = seededNumbers(29);
    let timestampMs = (4 * 2 ** 29 - 30) * 1_000;
    for (let sequence = 1; sequence <= 60; sequence++) {
      timestampMs += 1_000;
      const records = foldRecords(
        Array.from({ length: 20 }, (): TestRecord => [number(60), number(2), number(4) > 0]),
      );
      const letters = definition.apply(timestampMs, records);
      expect(await count(memory, { sequence, timestampMs, records })).toBe(letters);
    }
  });

  test('the largest message that a gateway makes is folded, on an empty memory and on a full one', async () => {
    const { memory, key } = await newShard({ horizonMs: 10_000 });
    const definition = new Fold(10_000);
    const message = (sequence: number, timestampMs: number): TestMessage => ({
      sequence,
      timestampMs,
      records: foldRecords(
        Array.from({ length: 8_000 }, (_, index): TestRecord => [sequence * 7_000 + index, 0, true]),
      ),
    });
    for (let sequence = 1; sequence <= 4; sequence++) {
      const { timestampMs, records } = message(sequence, START_MS + (sequence === 4 ? 11_000 : 0));
      const letters = definition.apply(timestampMs, records);
      expect(await count(memory, { sequence, timestampMs, records })).toBe(letters);
    }
    expect(Number(await redis.hget(key, 'entries'))).toBe(await entriesIn(key));
  });

  test('a memory of the format before this one is none, and is not touched', async () => {
    const { memory, key } = await newShard({ begun: false });
    const old = key.replace('fold2:', 'fold:');
    await redis.hset(old, {
      generation: 'one',
      through: 0,
      warm: 0,
      time: 0,
      buckets: 1,
      entries: 0,
      sweep: 0,
    });
    const before = await contents(old);
    const [first] = streamOf([[1, 1, true]]) as [TestMessage];
    expect(await memory.fold(1, START_MS, first.records, 0, 'count')).toEqual({ kind: 'none' });
    await memory.reset('new', 0, 0);
    expect(await count(memory, first)).toBe('V');
    expect(await contents(old)).toEqual(before);
  });

  test.each([1, 3, FOLD_RECORD_BYTES - 1, FOLD_RECORD_BYTES + 1, 3 * FOLD_RECORD_BYTES + 12])(
    'records of %i bytes are no records: an error, nothing is folded',
    async (size) => {
      const { memory, key } = await newShard();
      const before = await contents(key);
      await expect(memory.fold(1, START_MS, Buffer.alloc(size, 7), 0, 'count')).rejects.toThrow();
      expect(await contents(key)).toEqual(before);
      const [message] = streamOf([[1, 1, true]]) as [TestMessage];
      expect(await count(memory, message)).toBe('V');
    },
  );

  test('shards, and incarnations of one shard, do not touch each other', async () => {
    const memories = await loadFoldMemories(redis, HORIZON_MS);
    const shard = nextShard++;
    const one = memories(shard, 'first');
    const made = memories(shard, 'made anew');
    const neighbour = memories(nextShard++, 'first');
    for (const memory of [one, neighbour]) await memory.reset('same', 0, 0);
    const stream = streamOf([[1, 1, true]], [[1, 1, true]]) as [TestMessage, TestMessage];
    expect(await count(one, stream[0])).toBe('V');
    expect(await made.fold(1, START_MS, stream[0].records, 0, 'count')).toEqual({ kind: 'none' });
    await made.reset('same', 0, 0);
    expect(await count(made, stream[0])).toBe('V');
    expect(await count(neighbour, stream[0])).toBe('V');
    await neighbour.reset('other', 0, 0);
    expect(await count(one, stream[1])).toBe('D');
    expect(await count(made, stream[1])).toBe('D');
  });

  test('out of memory is an error, never a verdict; with memory again the message is folded as if nothing was', async () => {
    const server = await startRedis();
    const client = await connect(server.url);
    onTestFinished(async () => {
      client.disconnect();
      await server.stop();
    });
    const { memory, key } = await newShard({ client });
    const definition = new Fold(HORIZON_MS);
    const message = (sequence: number) => ({
      sequence,
      timestampMs: START_MS,
      records: foldRecords(
        Array.from({ length: 200 }, (_, index): TestRecord => [sequence * 150 + index, 0, true]),
      ),
    });
    const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
    await client.config('SET', 'maxmemory', used + 300_000);
    let sequence = 1;
    let refused: unknown;
    for (; refused === undefined && sequence < 1_000; sequence++) {
      const { timestampMs, records } = message(sequence);
      try {
        const letters = await count(memory, message(sequence));
        expect(letters).toBe(definition.apply(timestampMs, records));
      } catch (error) {
        refused = error;
        break;
      }
    }
    expect(String(refused)).toContain('OOM');
    const entries = await entriesIn(key, client);
    await expect(count(memory, message(sequence))).rejects.toThrow('OOM');
    expect(await entriesIn(key, client)).toBe(entries);
    await client.config('SET', 'maxmemory', 0);
    for (const end = sequence + 10; sequence < end; sequence++) {
      const { timestampMs, records } = message(sequence);
      expect(await count(memory, message(sequence))).toBe(definition.apply(timestampMs, records));
    }
    // A reset frees memory, so it goes through where there is none left.
    await client.config('SET', 'maxmemory', 1);
    await expect(count(memory, message(sequence))).rejects.toThrow('OOM');
    await memory.reset('late', 0, 0);
    expect(await entriesIn(key, client)).toBe(0);
  });

  test('a Redis that is gone or holds still is an error, and back it knows what it was told', async () => {
    const server = await startRedis();
    const client = await connect(server.url);
    onTestFinished(async () => {
      client.disconnect();
      await server.stop();
    });
    const { memory } = await newShard({ client });
    const [first, second] = streamOf([[1, 1, true]], [[1, 1, true]]) as [TestMessage, TestMessage];
    expect(await count(memory, first)).toBe('V');
    server.pause();
    const answer = count(memory, second);
    await expect(answer).rejects.toThrow(/timed out/i);
    server.resume();
    // The lost call may have been folded or not: the answer is the same.
    expect(await count(memory, second)).toBe('D');
    await server.restart();
    await expect.poll(() => client.status, { timeout: 10_000 }).toBe('ready');
    expect(await count(memory, second)).toBe('D');
    await server.kill();
    const askedAt = performance.now();
    await expect(count(memory, second)).rejects.toThrow();
    // At once, not when the command's time is over.
    expect(performance.now() - askedAt).toBeLessThan(2_500);
    await server.restart();
  });

  test('in Redis Cluster every key of a shard is in one slot, and the scripts may use them all', async () => {
    const server = await startOwn('redis-cluster', (directory, secret) => {
      const definition = redisServer({ directory, password: secret });
      return {
        ...definition,
        prepare: async (port) => {
          await definition.prepare(port);
          await appendFile(join(directory, 'redis.conf'), 'cluster-enabled yes\n');
        },
      };
    });
    const client = await connect(server.url);
    onTestFinished(async () => {
      client.disconnect();
      await server.stop();
    });
    await client.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    await expect
      .poll(() => client.call('CLUSTER', 'INFO'), { timeout: 20_000 })
      .toContain('cluster_state:ok');
    const memory = (await loadFoldMemories(client, HORIZON_MS))(7, INCARNATION);
    await memory.reset('old', 0, 0);
    for (let sequence = 1; sequence <= 5; sequence++) {
      const records = foldRecords(
        Array.from({ length: 100 }, (_, index): TestRecord => [sequence * 100 + index, 0, true]),
      );
      await count(memory, { sequence, timestampMs: START_MS, records });
    }
    await memory.reset('new', 5, 5);
    const all = await keysOf('fold', client);
    expect(all.length).toBe(1);
    const slots = await Promise.all(all.map((name) => client.call('CLUSTER', 'KEYSLOT', name)));
    expect(new Set(slots).size).toBe(1);
    const records = foldRecords([[1, 1, true]]);
    expect(await count(memory, { sequence: 6, timestampMs: START_MS, records })).toBe('V');
  });
});

test('measured, not judged: bytes an identity and processor time a record', async () => {
  const server = await startRedis();
  const client = await connect(server.url);
  onTestFinished(async () => {
    client.disconnect();
    await server.stop();
  });
  const used = async (section: string, name: string) =>
    Number(new RegExp(`${name}:([0-9.]+)`).exec(await client.info(section))?.[1]);
  const processorSeconds = async () =>
    (await used('cpu', 'used_cpu_user')) + (await used('cpu', 'used_cpu_sys'));
  const { memory, key } = await newShard({ client, horizonMs: 86_400_000 });
  const identities = 200_000;
  const recordsAMessage = 250;
  const messages = Array.from({ length: identities / recordsAMessage }, (_, batch) => ({
    sequence: batch + 1,
    timestampMs: START_MS + batch,
    records: foldRecords(
      Array.from({ length: recordsAMessage }, (_unused, index): TestRecord => {
        const identity = batch * recordsAMessage + index;
        return [identity, identity, true];
      }),
    ),
  }));
  const before = await used('memory', 'used_memory');
  const startedAt = await processorSeconds();
  for (const message of messages) await count(memory, message, message.sequence - 1);
  const microseconds = (((await processorSeconds()) - startedAt) * 1e6) / identities;
  const bytes = ((await used('memory', 'used_memory')) - before) / identities;
  expect(await entriesIn(key, client)).toBe(identities);
  const line = `fold: ${bytes.toFixed(1)} bytes an identity at ${identities}, ${microseconds.toFixed(2)} µs of redis-server a record`;
  process.stdout.write(`${line} in messages of ${recordsAMessage}\n`);
}, 120_000);

describe('a hammered URL', () => {
  test('no bucket grows with the clicks on one identity, so none takes long to visit', async () => {
    const { memory, key } = await newShard();
    const clicks = 5_000;
    const stream = testStream(
      Array.from({ length: clicks / 50 }, (_step, step) => ({
        stepMs: 1,
        records: Array.from({ length: 50 }, (_record, index): TestRecord => [1, step * 50 + index, true]),
      })),
    );
    for (const message of stream) await count(memory, message);
    const sizes = await bucketSizes(key);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(clicks);
    expect(Math.max(...sizes)).toBeLessThan(50);
  });
});
