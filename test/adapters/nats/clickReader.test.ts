/** Reading a shard's stream: every message once and in order, whatever the broker does, and never a gap in silence (I2). */
import { RetentionPolicy, StorageType } from 'nats';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ClickReader } from '../../../src/adapters/nats/clickReader.ts';
import { clickStream, clickSubject, readStreamState } from '../../../src/adapters/nats/clickStreams.ts';
import { onReconnect } from '../../../src/adapters/nats/connectivity.ts';
import { StreamGapError, type StreamMessage } from '../../../src/domain/streamMessage.ts';
import { FaultProxy } from '../../support/faultProxy.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, brokerForTest, newShard, openBroker, publishAll } from './clicks.ts';

let server: OwnServer;
let broker: Broker;

beforeAll(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
});
afterAll(async () => {
  await broker.connection.close();
  await server.stop();
});

const text = ({ bytes }: StreamMessage) => Buffer.from(bytes).toString();
const textOf = ({ value }: IteratorResult<StreamMessage, unknown>) => text(value as StreamMessage);
const numbered = (from: number, through: number) =>
  Array.from({ length: through - from + 1 }, (_, index) => `message ${from + index}`);
/** Longer than any wait for a new fetch would be; a test that needs it has failed. */
const NOT_STOPPED = new AbortController().signal;

function readerOf({ client, manager }: Broker) {
  const troubles: unknown[] = [];
  let tries = 0;
  const bound = new ClickReader(client, manager, (_shard, error, isFirst) => {
    tries += 1;
    if (isFirst) troubles.push(error);
  });
  const incarnationOf = async (shard: number) => (await readStreamState(manager, shard)).incarnation;
  /** Reads the stream that is there when it begins. */
  const reader = {
    async *read(
      shard: number,
      from: number,
      stop: AbortSignal,
      through?: number,
    ): AsyncGenerator<StreamMessage, void, void> {
      yield* bound.read(shard, await incarnationOf(shard), from, stop, through);
    },
    firstSequenceAt: async (shard: number, timeMs: number) =>
      bound.firstSequenceAt(shard, await incarnationOf(shard), timeMs),
  };
  return { bound, reader, troubles, tries: () => tries };
}

async function take(messages: AsyncGenerator<StreamMessage>, count: number): Promise<StreamMessage[]> {
  const taken: StreamMessage[] = [];
  while (taken.length < count) {
    const { value, done } = await messages.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

async function readAll(messages: AsyncGenerator<StreamMessage>): Promise<StreamMessage[]> {
  const all: StreamMessage[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

/** A stream that lets itself be emptied, as an operator or a full disk might have left it. */
async function brittleShard({ manager }: Broker, shard: number, changes: object = {}): Promise<number> {
  await manager.streams.add({
    name: clickStream(shard),
    subjects: [clickSubject(shard)],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    ...changes,
  });
  return shard;
}

describe('reading', () => {
  test('gives every message in order, from the sequence that is asked for', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, numbered(1, 450));
    const { reader, troubles } = readerOf(broker);
    const all = await readAll(reader.read(shard, 1, NOT_STOPPED, 450));
    expect(all.map(text)).toEqual(numbered(1, 450));
    expect(all.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 450 }, (_, index) => index + 1));
    const late = await readAll(reader.read(shard, 437, NOT_STOPPED, 450));
    expect(late.map(text)).toEqual(numbered(437, 450));
    expect(troubles).toEqual([]);
  });

  test('ends at the last one that is asked for, and gives nothing where that is behind the first', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, numbered(1, 300));
    const { reader } = readerOf(broker);
    expect((await readAll(reader.read(shard, 95, NOT_STOPPED, 105))).map(text)).toEqual(numbered(95, 105));
    expect(await readAll(reader.read(shard, 7, NOT_STOPPED, 7))).toHaveLength(1);
    expect(await readAll(reader.read(shard, 7, NOT_STOPPED, 6))).toEqual([]);
  });

  test('keeps bytes and the time at which the broker took the message', async () => {
    const shard = await newShard(broker);
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await publishAll(broker, shard, [bytes, new Uint8Array(0)]);
    const { reader } = readerOf(broker);
    const [first, second] = await readAll(reader.read(shard, 1, NOT_STOPPED, 2));
    expect(Buffer.from(first?.bytes ?? []).equals(bytes)).toBe(true);
    expect(second?.bytes).toHaveLength(0);
    const stored = await broker.manager.streams.getMessage(clickStream(shard), { seq: 1 });
    expect(Math.floor(first?.timestampMs ?? 0)).toBe(stored.time.getTime());
  });

  test('a message that is published while the reader waits comes without waiting for anything else', async () => {
    const shard = await newShard(broker);
    const { reader } = readerOf(broker);
    const stop = new AbortController();
    const messages = reader.read(shard, 1, stop.signal);
    const delays: number[] = [];
    let next = messages.next();
    await Bun.sleep(300);
    for (let turn = 0; turn < 5; turn++) {
      const startedAt = performance.now();
      await publishAll(broker, shard, ['x']);
      await next;
      delays.push(performance.now() - startedAt);
      next = messages.next();
      await Bun.sleep(20);
    }
    // A fetch that had to run out first would take its 5 s.
    expect(Math.max(...delays)).toBeLessThan(2_500);
    stop.abort();
    await next.catch(() => undefined);
  });

  test('an idle stream is read on after a fetch has run out', async () => {
    const shard = await newShard(broker);
    const { reader, troubles } = readerOf(broker);
    const stop = new AbortController();
    const messages = reader.read(shard, 1, stop.signal);
    const first = messages.next();
    await Bun.sleep(6_000);
    await publishAll(broker, shard, ['late']);
    expect(textOf(await first)).toBe('late');
    expect(troubles).toEqual([]);
    stop.abort();
    await messages.return(undefined);
  });

  test('a slow reader of a long backlog has only a few portions in memory', async () => {
    const publisher = await brokerForTest(server.url);
    const shard = await newShard(publisher);
    const size = 3_000;
    const message = new Uint8Array(size);
    const count = 20_000;
    await publishAll(publisher, shard, Array<Uint8Array>(count).fill(message));
    const own = await brokerForTest(server.url);
    const { reader } = readerOf(own);
    const before = own.connection.stats().inBytes;
    let taken = 0;
    let ahead = 0;
    for await (const { sequence } of reader.read(shard, 1, NOT_STOPPED, count)) {
      taken = sequence;
      // Not at the border of a portion, whatever its size: 487 is a prime.
      if (sequence % 487 !== 1) continue;
      // As slow as a flush that waits for PostgreSQL; what the broker wants to send has arrived by then.
      await Bun.sleep(sequence <= 5_000 ? 50 : 0);
      ahead = Math.max(ahead, own.connection.stats().inBytes - before - sequence * size);
    }
    expect(taken).toBe(count);
    expect(ahead).toBeLessThan(3 * 2 * 1024 * 1024);
    process.stdout.write(`reader: at most ${Math.ceil(ahead / 1024)} KiB ahead of a slow reader\n`);
  }, 60_000);

  test('messages near the limit of their size come through', async () => {
    const shard = await newShard(broker);
    const big = new Uint8Array(1_000_000);
    await publishAll(broker, shard, Array<Uint8Array>(12).fill(big));
    const { reader, troubles } = readerOf(broker);
    const all = await readAll(reader.read(shard, 1, NOT_STOPPED, 12));
    expect(all.map(({ bytes }) => bytes.length)).toEqual(Array(12).fill(big.length));
    expect(troubles).toEqual([]);
  });
});

describe('trouble', () => {
  test('a broker that is killed and comes back is read on, nothing twice and nothing missing', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const first = await brokerForTest(own.url);
    const shard = await newShard(first);
    await publishAll(first, shard, numbered(1, 1_000));
    const { reader } = readerOf(first);
    const stop = new AbortController();
    const messages = reader.read(shard, 1, stop.signal);
    const read = (await take(messages, 150)).map(text);
    await own.kill();
    const rest = take(messages, 1_050);
    await own.restart();
    const second = await brokerForTest(own.url);
    await publishAll(second, shard, numbered(1_001, 1_200));
    read.push(...(await rest).map(text));
    expect(read).toEqual(numbered(1, 1_200));
    stop.abort();
    await messages.return(undefined);
  }, 60_000);

  test('a broker that is killed while the reader waits for the next click is read on', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const first = await brokerForTest(own.url);
    const shard = await newShard(first);
    await publishAll(first, shard, ['one']);
    const stop = new AbortController();
    const messages = readerOf(first).reader.read(shard, 1, stop.signal);
    expect(textOf(await messages.next())).toBe('one');
    const next = messages.next();
    await Bun.sleep(200);
    await own.kill();
    await own.restart();
    const second = await brokerForTest(own.url);
    await publishAll(second, shard, ['two']);
    expect(textOf(await next)).toBe('two');
    stop.abort();
    await messages.return(undefined);
  }, 60_000);

  test.each([
    ['after the fetch has run out', false],
    ['at once where the reader is told of the new connection', true],
  ])(
    'the last message, lost with a connection that breaks, comes %s',
    async (_when, tellsReconnect) => {
      const shard = await newShard(broker);
      await publishAll(broker, shard, ['one']);
      const proxy = await FaultProxy.start(server.port);
      onTestFinished(() => proxy.close());
      const behind = await brokerForTest(server.url.replace(`:${server.port}`, `:${proxy.port}`));
      const { bound, reader, troubles } = readerOf(behind);
      if (tellsReconnect) void onReconnect(behind.connection, () => bound.reconnected());
      const stop = new AbortController();
      const messages = reader.read(shard, 1, stop.signal);
      expect(textOf(await messages.next())).toBe('one');
      // From its next request for messages on the reader hears nothing, and the broker does not know.
      const { requested, swallowed } = proxy.loseReply('CONSUMER.MSG.NEXT');
      const next = messages.next();
      await requested;
      await publishAll(broker, shard, ['two']);
      await swallowed;
      proxy.heal();
      expect(textOf(await next)).toBe('two');
      expect(troubles.length).toBe(1);
      stop.abort();
      await messages.return(undefined);
    },
    60_000,
  );

  test('a consumer that is deleted under the reader is replaced', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, numbered(1, 250));
    const { reader, troubles } = readerOf(broker);
    const stop = new AbortController();
    const messages = reader.read(shard, 1, stop.signal);
    const read = (await take(messages, 30)).map(text);
    const deleteAll = async () => {
      for await (const { name } of broker.manager.consumers.list(clickStream(shard))) {
        await broker.manager.consumers.delete(clickStream(shard), name);
      }
    };
    await deleteAll();
    read.push(...(await take(messages, 220)).map(text));
    expect(read).toEqual(numbered(1, 250));
    // And once more while it only waits.
    const next = messages.next();
    await Bun.sleep(300);
    await deleteAll();
    await publishAll(broker, shard, ['message 251']);
    expect(textOf(await next)).toBe('message 251');
    expect(troubles.length).toBeGreaterThan(0);
    stop.abort();
    await messages.return(undefined);
  }, 60_000);

  test('a stream that starts after the sequence that comes next is an error that names both', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const other = await brokerForTest(own.url);
    const shard = await brittleShard(other, 900, { max_msgs: 5 });
    await publishAll(other, shard, numbered(1, 12));
    const { reader } = readerOf(other);
    const reading = readAll(reader.read(shard, 7, NOT_STOPPED, 12));
    await expect(reading).rejects.toThrow(StreamGapError);
    await expect(readAll(reader.read(shard, 7, NOT_STOPPED, 12))).rejects.toThrow(
      /starts at sequence 8, but the counts reach only to 6/,
    );
    expect((await readAll(reader.read(shard, 8, NOT_STOPPED, 12))).map(text)).toEqual(numbered(8, 12));
  });

  test('messages that vanish while the reader waits for them are an error, not a jump', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const other = await brokerForTest(own.url);
    const shard = await brittleShard(other, 901);
    await publishAll(other, shard, numbered(1, 400));
    const { reader } = readerOf(other);
    const messages = reader.read(shard, 1, NOT_STOPPED);
    const read = await take(messages, 10);
    expect(read.map(text)).toEqual(numbered(1, 10));
    await other.manager.streams.purge(clickStream(shard), { seq: 380 });
    await expect(readAll(messages)).rejects.toThrow(StreamGapError);
  });

  test('a single message deleted from the middle is an error, never jumped over', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const other = await brokerForTest(own.url);
    const shard = await brittleShard(other, 902);
    await publishAll(other, shard, numbered(1, 6));
    await other.manager.streams.deleteMessage(clickStream(shard), 4, false);
    const { reader, troubles, tries } = readerOf(other);
    const read: string[] = [];
    const reading = (async () => {
      for await (const message of reader.read(shard, 1, NOT_STOPPED)) read.push(text(message));
    })();
    await expect(reading).rejects.toThrow(/^the stream of shard 902 holds no message 4, .* restore a copy/);
    expect(read).toEqual(numbered(1, 3));
    expect(troubles.map(String)).toEqual(['Error: sequence 4 did not come, the broker is at 5']);
    // Whoever bounds an outage hears of every try.
    expect(tries()).toBe(2);
  });

  test('a stream that is not there is waited for, and another one in its place is refused', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const other = await brokerForTest(own.url);
    const { bound, troubles } = readerOf(other);
    const reading = readAll(bound.read(903, '2025-10-01T00:00:00Z', 1, NOT_STOPPED, 1));
    await expect.poll(() => troubles.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await brittleShard(other, 903);
    await publishAll(other, 903, ['one']);
    await expect(reading).rejects.toThrow(/made anew at .*2025-10-01T00:00:00Z.*restore that stream/);
  });
});

describe('a stream behind the reader’s back', () => {
  async function ownBroker(): Promise<Broker> {
    const own = await startNats();
    onTestFinished(() => own.stop());
    return brokerForTest(own.url);
  }

  /** What a reader gives that has read `count` messages, once `meanwhile` has happened to the stream. */
  async function readDespite(
    other: Broker,
    shard: number,
    count: number,
    meanwhile: () => Promise<void>,
  ): Promise<{ read: string[]; error: unknown; troubles: unknown[] }> {
    const { reader, troubles } = readerOf(other);
    const stop = new AbortController();
    const messages = reader.read(shard, 1, stop.signal);
    const read = (await take(messages, count)).map(text);
    const rest = (async () => {
      for await (const message of messages) read.push(text(message));
    })().catch((reason: unknown) => reason);
    // By now it waits for the next message.
    await Bun.sleep(300);
    await meanwhile();
    const error = await Promise.race([rest, Bun.sleep(20_000)]);
    stop.abort();
    await rest;
    return { read, error, troubles };
  }

  test('that is deleted, made anew and grows beyond the reader is refused: nothing of it is delivered', async () => {
    const other = await ownBroker();
    const shard = await brittleShard(other, 910);
    await publishAll(other, shard, numbered(1, 20));
    const { read, error } = await readDespite(other, shard, 20, async () => {
      await other.manager.streams.delete(clickStream(shard));
      await brittleShard(other, shard);
      await publishAll(other, shard, Array<string>(40).fill('of the new stream'));
    });
    expect(error).toBeInstanceOf(StreamGapError);
    expect((error as Error).message).toMatch(/shard 910 was made anew at .*restore that stream/);
    expect(read).toEqual(numbered(1, 20));
  }, 30_000);

  test('that is made anew while the reader is in the middle of its backlog is refused, too', async () => {
    const other = await ownBroker();
    const shard = await brittleShard(other, 911);
    await publishAll(other, shard, numbered(1, 2_000));
    const { reader } = readerOf(other);
    const messages = reader.read(shard, 1, NOT_STOPPED);
    const read = (await take(messages, 30)).map(text);
    await other.manager.streams.delete(clickStream(shard));
    await brittleShard(other, shard);
    await publishAll(other, shard, Array<string>(3_000).fill('of the new stream'));
    await expect(
      (async () => {
        for await (const message of messages) read.push(text(message));
      })(),
    ).rejects.toThrow(StreamGapError);
    // What was on its way may still come; all of it is of the stream that was read.
    expect(read).toEqual(numbered(1, read.length));
  }, 30_000);

  test('that comes back with fewer messages than were read is refused', async () => {
    const first = await ownBroker();
    const shard = await brittleShard(first, 912);
    await publishAll(first, shard, numbered(1, 20));
    const { bound } = readerOf(first);
    const { incarnation } = await readStreamState(first.manager, shard);
    // Its counts reach to 25, and the stream that it finds, the same one, ends at 20.
    await expect(readAll(bound.read(shard, incarnation, 26, NOT_STOPPED, 30))).rejects.toThrow(
      /ends at sequence 20, but the counts reach to 25.*restore a copy/,
    );
    // Where just the next one is missing, it is waited for.
    const next = bound.read(shard, incarnation, 21, NOT_STOPPED, 21).next();
    await Bun.sleep(200);
    await publishAll(first, shard, ['message 21']);
    expect(textOf(await next)).toBe('message 21');
  });

  test('gives no first message at a time, where another one stands in its place', async () => {
    const other = await ownBroker();
    const shard = await brittleShard(other, 913);
    await publishAll(other, shard, numbered(1, 5));
    const { bound } = readerOf(other);
    const { incarnation } = await readStreamState(other.manager, shard);
    expect(await bound.firstSequenceAt(shard, incarnation, 0)).toBe(1);
    await other.manager.streams.delete(clickStream(shard));
    await brittleShard(other, shard);
    await expect(bound.firstSequenceAt(shard, incarnation, 0)).rejects.toThrow(StreamGapError);
    await publishAll(other, shard, numbered(1, 5));
    await expect(bound.firstSequenceAt(shard, incarnation, 0)).rejects.toThrow(StreamGapError);
  });
});

describe('stopping', () => {
  /** How long the reader takes to end, whether it ends by an error or not. */
  async function msToEnd(stop: AbortController, ended: Promise<unknown>): Promise<number> {
    const startedAt = performance.now();
    stop.abort(new Error('stopped'));
    await ended.catch(() => undefined);
    return performance.now() - startedAt;
  }

  test('ends a reader that waits for the next message at once', async () => {
    const shard = await newShard(broker);
    const stop = new AbortController();
    const { reader, troubles } = readerOf(broker);
    const waiting = readAll(reader.read(shard, 1, stop.signal));
    await Bun.sleep(300);
    expect(await msToEnd(stop, waiting)).toBeLessThan(2_000);
    expect(troubles).toEqual([]);
  });

  test('ends a reader in the middle of a backlog after the message in hand', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, numbered(1, 500));
    const stop = new AbortController();
    const read: number[] = [];
    const reading = (async () => {
      for await (const { sequence } of readerOf(broker).reader.read(shard, 1, stop.signal)) {
        read.push(sequence);
        if (sequence === 42) stop.abort();
      }
    })();
    await reading.catch(() => undefined);
    expect(read.at(-1)).toBe(42);
  });

  test('before it began gives nothing', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, ['one']);
    expect(await readAll(readerOf(broker).reader.read(shard, 1, AbortSignal.abort()))).toEqual([]);
  });

  test('leaves no consumer behind', async () => {
    const shard = await newShard(broker);
    await publishAll(broker, shard, numbered(1, 10));
    const { reader } = readerOf(broker);
    for (let turn = 0; turn < 3; turn++) await readAll(reader.read(shard, 1, NOT_STOPPED, 10));
    const stop = new AbortController();
    const waiting = readAll(reader.read(shard, 11, stop.signal));
    await Bun.sleep(200);
    stop.abort();
    await waiting.catch(() => undefined);
    await reader.firstSequenceAt(shard, 0);
    await expect
      .poll(async () => (await broker.manager.streams.info(clickStream(shard))).state.consumer_count, {
        timeout: 10_000,
      })
      .toBe(0);
  });
});

describe('the first message at a time', () => {
  test('is the first with that timestamp or a later one, by the timestamps that reading gives, or up to 1 ms before', async () => {
    const shard = await newShard(broker);
    for (const message of numbered(1, 5)) {
      await publishAll(broker, shard, [message]);
      await Bun.sleep(15);
    }
    const { reader } = readerOf(broker);
    const all = await readAll(reader.read(shard, 1, NOT_STOPPED, 5));
    expect(await reader.firstSequenceAt(shard, 0)).toBe(1);
    for (const { sequence, timestampMs } of all) {
      const ms = Math.floor(timestampMs);
      expect(await reader.firstSequenceAt(shard, ms)).toBe(sequence);
      // Reading may round a timestamp up: asked for the next millisecond, this message must not be left out.
      expect(await reader.firstSequenceAt(shard, ms + 1)).toBe(sequence);
      expect(await reader.firstSequenceAt(shard, ms + 2)).toBe(sequence + 1);
    }
  });

  test('is the one that comes next where nothing is there, or nothing so late', async () => {
    const shard = await newShard(broker);
    const { reader } = readerOf(broker);
    expect(await reader.firstSequenceAt(shard, 0)).toBe(1);
    await publishAll(broker, shard, numbered(1, 3));
    const { brokerTimeMs } = await readStreamState(broker.manager, shard);
    expect(await reader.firstSequenceAt(shard, brokerTimeMs + 3_600_000)).toBe(4);
  });

  test('in a stream whose beginning has expired is its first one', async () => {
    const own = await startNats();
    onTestFinished(() => own.stop());
    const other = await brokerForTest(own.url);
    const shard = await brittleShard(other, 904, { max_msgs: 3 });
    await publishAll(other, shard, numbered(1, 10));
    const { reader } = readerOf(other);
    expect(await reader.firstSequenceAt(shard, 0)).toBe(8);
    await other.manager.streams.purge(clickStream(shard));
    expect(await reader.firstSequenceAt(shard, 0)).toBe(11);
  });

  test('of a stream that is not there is an error', async () => {
    await expect(readerOf(broker).reader.firstSequenceAt(999, 0)).rejects.toThrow(
      'CLICKS_999 does not exist',
    );
  });
});
