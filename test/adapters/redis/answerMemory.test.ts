/** The Redis that query processes share: what is kept there comes back, and nothing of it can hurt an answer or the fold. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { AnswerMemory } from '../../../src/adapters/redis/answerMemory.ts';
import { startRedis } from '../../support/redis.ts';

const MEMORY_BYTES = 32 * 2 ** 20;
const ROWS = { version: '1700000000.5 7 -12', text: '[{"valid":1}]' };

type Server = Awaited<ReturnType<typeof startRedis>>;

let server: Server;
let client: Redis;

beforeAll(async () => {
  server = await startRedis();
  client = new Redis(server.url);
  client.on('error', () => undefined);
});
afterAll(async () => {
  client.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await client.flushall();
  await configure(MEMORY_BYTES, 'allkeys-lru');
});

async function configure(bytesMax: number, policy: string): Promise<void> {
  await client.config('SET', 'maxmemory', bytesMax);
  await client.config('SET', 'maxmemory-policy', policy);
}

function open() {
  const troubles: string[] = [];
  const memory = new AnswerMemory({
    url: server.url,
    nowMs: () => performance.now(),
    onTrouble: (error) => troubles.push(error.message),
  });
  onTestFinished(() => memory.close());
  return { memory, troubles };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds, { timeout: 10_000, message: what }).toBe(true);
}

/** One that is in use: it takes and gives. */
async function openReady() {
  const opened = open();
  await until('the shared memory is used', async () => {
    opened.memory.set('probe', ROWS);
    return (await opened.memory.get('probe')) !== undefined;
  });
  return opened;
}

describe('the shared memory', () => {
  test('gives what another process has put there, in the newest version, for a bounded time', async () => {
    const [one, other] = [await openReady(), await openReady()];
    one.memory.set('question', ROWS);
    await until('it is there', async () => (await other.memory.get('question')) !== undefined);
    expect(await other.memory.get('question')).toEqual(ROWS);
    const newer = { version: 'newer', text: '[]' };
    other.memory.set('question', newer);
    await until('it is replaced', async () => (await one.memory.get('question'))?.version === 'newer');
    const keys = await client.keys('*');
    expect(keys.toSorted()).toEqual(['settled1:probe', 'settled1:question']);
    for (const key of keys) expect(await client.ttl(key)).toBeGreaterThan(0);
    one.memory.drop(['question', 'probe', 'unknown']);
    await until('it is gone', async () => (await client.dbsize()) === 0);
    expect(await other.memory.get('question')).toBeUndefined();
  });

  test.each([
    ['never forgets, as that of the fold', MEMORY_BYTES, 'noeviction'],
    ['has no bound', 0, 'allkeys-lru'],
  ])('is not used where the server %s', async (_what, bytesMax, policy) => {
    await configure(bytesMax, policy);
    const { memory, troubles } = open();
    // On a slow machine it may be deaf for a moment before.
    const why = `^CLICKLEDGER_CACHE_REDIS_URL is not used: .* maxmemory ${bytesMax} .* ${policy}; right is`;
    await until('it is refused', async () => troubles.some((trouble) => new RegExp(why).test(trouble)));
    memory.set('question', ROWS);
    expect(await memory.get('question')).toBeUndefined();
    expect(await client.dbsize()).toBe(0);
  });

  test('that is full forgets something else', async () => {
    const { memory } = await openReady();
    const text = JSON.stringify('x'.repeat(1_000_000));
    for (let question = 0; question < 60; question++) {
      // What is slow is not remembered: on a busy machine that may be this one.
      await until('it is there', async () => {
        memory.set(`${question}`, { version: 'one', text });
        return (await memory.get(`${question}`)) !== undefined;
      });
    }
    expect(await client.dbsize()).toBeLessThan(40);
  });

  test('that is away is no memory; back again, it is one', async () => {
    const { memory, troubles } = await openReady();
    await server.kill();
    expect(await memory.get('probe')).toBeUndefined();
    memory.set('question', ROWS);
    memory.drop(['question']);
    await until('somebody hears of it', async () => troubles.length > 0);
    await server.restart();
    await until('it is there', async () => (await client.ping().catch(() => '')) === 'PONG');
    await configure(MEMORY_BYTES, 'allkeys-lru');
    // What it is fit for is looked at with each connection.
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal');
    await until('it is used again', async () => {
      memory.set('question', ROWS);
      return (await memory.get('question')) !== undefined;
    });
  });

  test('that says nothing is left alone for a while, and keeps nobody waiting', async () => {
    const { memory } = await openReady();
    server.pause();
    onTestFinished(() => server.resume());
    expect(await memory.get('probe')).toBeUndefined();
    const asked = Array.from({ length: 1_000 }, (_, question) => memory.get(`${question}`));
    const next = Promise.race([Promise.all(asked), new Promise((done) => setImmediate(() => done('waits')))]);
    expect(await next).toEqual(asked.map(() => undefined));
    server.resume();
    await until('it is used again', async () => (await memory.get('probe')) !== undefined);
  });
});
