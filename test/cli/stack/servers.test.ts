/** The servers under a launcher: killed, restarted, side by side, and left alone by a launcher that dies. */
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { connectNats } from '../../../src/adapters/nats/connection.ts';
import { isRunning } from '../../../src/cli/stack/processIdentity.ts';
import { type ServerUrls, startLauncher } from './launcherProcess.ts';
import { testFolder } from './testFolder.ts';

const MARK = 'mark';

/** Leaves something in each of the three servers. */
async function write(urls: ServerUrls, mark: string): Promise<void> {
  const redis = new Redis(urls.REDIS_URL);
  await redis.set(MARK, mark);
  redis.disconnect();
  const postgres = new Client(urls.DATABASE_URL);
  await postgres.connect();
  await postgres.query('create table mark (value text)');
  await postgres.query('insert into mark values ($1)', [mark]);
  await postgres.end();
  const nats = await connectNats(urls.NATS_URL, 'test');
  await (await nats.jetstreamManager()).streams.add({ name: 'MARK', subjects: ['mark'] });
  await nats.jetstream().publish('mark', mark);
  await nats.close();
}

/** What `write` left in each: Redis, PostgreSQL, NATS. */
async function read(urls: ServerUrls): Promise<(string | null)[]> {
  const redis = new Redis(urls.REDIS_URL);
  const inRedis = await redis.get(MARK);
  redis.disconnect();
  const postgres = new Client(urls.DATABASE_URL);
  await postgres.connect();
  const { rows } = await postgres.query<{ value: string }>('select value from mark');
  await postgres.end();
  const nats = await connectNats(urls.NATS_URL, 'test');
  const message = await (await nats.jetstreamManager()).streams.getMessage('MARK', { seq: 1 });
  await nats.close();
  return [inRedis, rows[0]?.value ?? null, message.string()];
}

test('a second start continues with the data of the first', async () => {
  const folder = await testFolder();
  const first = await startLauncher(folder);
  await write(first.urls, 'one');
  await first.end('SIGTERM');
  const second = await startLauncher(folder);
  expect(await read(second.urls)).toEqual(['one', 'one', 'one']);
  await second.end('SIGTERM');
});

test('two instances side by side have their own servers, ports and data', async () => {
  const [one, other] = await Promise.all([testFolder(), testFolder()]);
  const launchers = await Promise.all([startLauncher(one), startLauncher(other)]);
  const [first, second] = launchers;
  await Promise.all([write(first.urls, 'one'), write(second.urls, 'other')]);
  expect(await read(first.urls)).toEqual(['one', 'one', 'one']);
  expect(await read(second.urls)).toEqual(['other', 'other', 'other']);
  await first.end('SIGTERM');
  expect(await read(second.urls)).toEqual(['other', 'other', 'other']);
  await second.end('SIGTERM');
});

test('a launcher that is killed takes its servers along, and the next one finds the data', async () => {
  const folder = await testFolder();
  const first = await startLauncher(folder);
  const children = Object.values(await first.children());
  expect(children).toHaveLength(3);
  expect(children.every(isRunning)).toBe(true);
  await write(first.urls, 'one');
  await first.end('SIGKILL');
  // Started at once: it waits by itself until the old servers are gone.
  const second = await startLauncher(folder);
  expect(children.some(isRunning)).toBe(false);
  expect(await read(second.urls)).toEqual(['one', 'one', 'one']);
  await second.end('SIGTERM');
});

test('a data folder that other users cannot enter serves PostgreSQL as well', async () => {
  const folder = await testFolder(0o700);
  const launcher = await startLauncher(folder);
  const { postgres } = await launcher.children();
  await write(launcher.urls, 'one');
  await launcher.end('SIGKILL');
  await expect.poll(() => postgres && isRunning(postgres), { timeout: 20_000 }).toBe(false);
});

test('a server that crashes is started again on its port, with its data', async () => {
  const launcher = await startLauncher(await testFolder());
  await write(launcher.urls, 'one');
  for (const [name, { pid }] of Object.entries(await launcher.children())) {
    process.kill(pid, 'SIGKILL');
    expect(await launcher.nextEvent()).toEqual({ kind: 'ended', name, how: 'SIGKILL', restartInMs: 250 });
    let event = await launcher.nextEvent();
    // PostgreSQL refuses to start while processes of the killed one still end: then it takes another try.
    while (event.kind === 'ended') event = await launcher.nextEvent();
    expect(event).toEqual({ kind: 'ready-again', name });
    expect(await read(launcher.urls)).toEqual(['one', 'one', 'one']);
  }
  await launcher.end('SIGTERM');
});

test('no server answers without its secret', async () => {
  const launcher = await startLauncher(await testFolder());
  const without = (url: string) => {
    const stripped = new URL(url);
    stripped.username = '';
    stripped.password = '';
    return stripped;
  };
  const redis = new Redis(without(launcher.urls.REDIS_URL).href);
  redis.on('error', () => undefined);
  await expect(redis.get(MARK)).rejects.toThrow('NOAUTH');
  redis.disconnect();
  await expect(connectNats(without(launcher.urls.NATS_URL).href, 'test')).rejects.toThrow(/authorization/i);
  const { port } = without(launcher.urls.DATABASE_URL);
  const postgres = new Client({
    host: '127.0.0.1',
    port: Number(port),
    user: 'clickledger',
    password: 'guess',
  });
  await expect(postgres.connect()).rejects.toThrow('password authentication failed');
  await launcher.end('SIGTERM');
});
