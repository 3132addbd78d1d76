/** The routing table's stream: one order of entries for everybody, whoever writes at the same moment (I3). */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureRoutingStream, RoutingLog } from '../../../src/adapters/nats/routingLog.ts';
import type { RoutingEntry } from '../../../src/domain/routingTable.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, openBroker } from './clicks.ts';

const CREATED: RoutingEntry = {
  kind: 'created',
  shards: 4,
  rules: { version: 1, maxFutureSkewMs: 1_000, maxEventAgeMs: 2_000, dedupHorizonMs: 3_000 },
};
const closedUntil = (untilMs: number): RoutingEntry => ({ kind: 'closed_until', untilMs });
const shards = (count: number, fromMs: number): RoutingEntry => ({ kind: 'shards', shards: count, fromMs });

let server: OwnServer;
let broker: Broker;

beforeEach(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
  await ensureRoutingStream(broker.manager);
});
afterEach(async () => {
  await broker.connection.close();
  await server.stop();
});

async function openLog({ client, manager }: Broker = broker): Promise<RoutingLog> {
  const log = new RoutingLog(client, manager);
  await log.read();
  return log;
}

const messages = async () => (await broker.manager.streams.info('ROUTING')).state.messages;

test('an empty table is not created, and says so to whoever asks for it', async () => {
  const log = await openLog();
  expect(log.isCreated).toBe(false);
  expect(() => log.table).toThrow('clickledger migrate');
});

test('an entry that one appends is in the table of the other after it reads', async () => {
  const [one, two] = [await openLog(), await openLog()];
  expect(await one.append(CREATED)).toBe(true);
  expect(one.table.newestShards).toBe(4);
  await two.read();
  expect(two.table.rules).toEqual((CREATED as { rules: unknown }).rules);
  expect(await two.append(closedUntil(5_000))).toBe(true);
  expect(await two.append(shards(8, 5_000))).toBe(true);
  expect(await two.append({ kind: 'fan_out', adId: 'hot "ad"', fanOut: 2, fromMs: 6_000 })).toBe(true);
  await one.read();
  expect([one.table.sequence, one.table.newestShards, one.table.closedUntilMs]).toEqual([4, 8, 5_000]);
});

test('of two that create the table at once one wins, and the other has the winner’s table', async () => {
  for (let round = 0; round < 3; round++) {
    const logs = await Promise.all([1, 2, 3, 4].map(() => openLog()));
    if (round > 0) break;
    const won = await Promise.all(logs.map((log) => log.append(CREATED)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(logs.map((log) => log.table.sequence)).toEqual([1, 1, 1, 1]);
  }
  expect(await messages()).toBe(1);
});

test('an entry decided on an older table is refused, and can be decided again on the newer one', async () => {
  const [one, two] = [await openLog(), await openLog()];
  await one.append(CREATED);
  await two.read();
  expect(await one.append(closedUntil(10_000))).toBe(true);
  // Two has not read that clicks up to 10 s may be published: from 5 s on would change the route of some.
  expect(await two.append(shards(8, 5_000))).toBe(false);
  expect([two.table.closedUntilMs, two.table.newestShards]).toEqual([10_000, 4]);
  expect(await two.append(shards(8, two.table.closedUntilMs))).toBe(true);
  await one.read();
  expect(one.table.newestShards).toBe(8);
});

test('an entry that takes effect below closed_until is refused before it stands where nobody can take it back', async () => {
  const log = await openLog();
  await log.append(CREATED);
  await log.append(closedUntil(10_000));
  const below: RoutingEntry = { kind: 'fan_out', adId: 'hot', fanOut: 2, fromMs: 9_999 };
  await expect(log.append(below)).rejects.toThrow('below closed_until 10000');
  await expect(log.append(CREATED)).rejects.toThrow('second created');
  expect(await messages()).toBe(2);
  expect(await log.append({ ...below, fromMs: 10_000 })).toBe(true);
});

test('many writers at once lose nothing: each entry that was accepted is there, in one order for all', async () => {
  const logs = await Promise.all(Array.from({ length: 5 }, () => openLog()));
  await logs[0]?.append(CREATED);
  await Promise.all(logs.map((log) => log.read()));
  await Promise.all(
    logs.map(async (log, writer) => {
      for (let entry = 0; entry < 6; entry++) {
        const adId = `ad ${writer} ${entry}`;
        while (!(await log.append({ kind: 'fan_out', adId, fanOut: 2, fromMs: 0 }))) {
          // Somebody else was first: again on the newer table.
        }
      }
    }),
  );
  await Promise.all(logs.map((log) => log.read()));
  expect(new Set(logs.map((log) => log.table.sequence))).toEqual(new Set([31]));
  expect(await messages()).toBe(31);
});

test('of closed_until only the newest message is kept; every other entry is kept for ever', async () => {
  const log = await openLog();
  await log.append(CREATED);
  for (let until = 1; until <= 20; until++) {
    await log.append(closedUntil(until * 1_000));
    if (until % 5 === 0) await log.append(shards(4 + until, until * 1_000));
  }
  expect(await messages()).toBe(1 + 4 + 1);
  const fresh = await openLog();
  expect([fresh.table.sequence, fresh.table.closedUntilMs, fresh.table.newestShards]).toEqual([
    25, 20_000, 24,
  ]);
});

test('a reader that is behind a replaced closed_until gets on over the hole', async () => {
  const [writer, reader] = [await openLog(), await openLog()];
  await writer.append(CREATED);
  await reader.read();
  await writer.append(closedUntil(1_000));
  await writer.append(closedUntil(2_000));
  await writer.append(shards(9, 2_000));
  await writer.append(closedUntil(3_000));
  await reader.read();
  expect([reader.table.sequence, reader.table.closedUntilMs, reader.table.newestShards]).toEqual([
    5, 3_000, 9,
  ]);
});

test('reading asks only for what is new', async () => {
  const log = await openLog();
  await log.append(CREATED);
  for (let until = 1; until <= 10; until++) {
    await log.append({ kind: 'fan_out', adId: `ad ${until}`, fanOut: 2, fromMs: 0 });
  }
  const before = broker.connection.stats().outMsgs;
  await log.read();
  const nothingNew = broker.connection.stats().outMsgs - before;
  expect(nothingNew).toBe(1);
  // Calls at the same moment share one read.
  await Promise.all([log.read(), log.read(), log.read()]);
  expect(broker.connection.stats().outMsgs - before - nothingNew).toBe(1);
});

test('reading through a sequence asks for nothing where the table is there, and reads on where it is not', async () => {
  const [writer, reader] = [await openLog(), await openLog()];
  await writer.append(CREATED);
  await reader.read();
  const before = broker.connection.stats().outMsgs;
  await reader.readThrough(1);
  expect(broker.connection.stats().outMsgs).toBe(before);
  await writer.append(closedUntil(1_000));
  await writer.append(shards(9, 1_000));
  const [, through] = await Promise.all([reader.read(), reader.readThrough(3)]);
  expect(through).toBeUndefined();
  expect(reader.table.newestShards).toBe(9);
});

test('a sequence that the table does not have is an error: nothing is routed by a table that is too old', async () => {
  const log = await openLog();
  await log.append(CREATED);
  await expect(log.readThrough(2)).rejects.toThrow('names routing entry 2, but the table ends at 1');
});

test('an entry that nobody here knows is an error, not skipped', async () => {
  const log = await openLog();
  await log.append(CREATED);
  await broker.client.publish('routing.entry.2', JSON.stringify({ kind: 'merge', fromMs: 1 }));
  await expect(log.read()).rejects.toThrow();
  await broker.client.publish('routing.entry.3', JSON.stringify({ kind: 'shards', shards: 0, fromMs: 1 }));
  await expect(log.read()).rejects.toThrow();
  expect(log.table.sequence).toBe(1);
});

test('entries are there after the broker was killed', async () => {
  const log = await openLog();
  await log.append(CREATED);
  await log.append(closedUntil(1_000));
  await log.append(shards(9, 1_000));
  await server.kill();
  await server.restart();
  const again = await openBroker(server.url);
  const fresh = await openLog(again);
  expect([fresh.table.sequence, fresh.table.closedUntilMs, fresh.table.newestShards]).toEqual([3, 1_000, 9]);
  expect(await fresh.append(closedUntil(2_000))).toBe(true);
  await again.connection.close();
});

test('a process that starts reads thousands of entries in portions, holes and all, and leaves no consumer behind', async () => {
  const along = await openLog();
  await along.append(CREATED);
  const ENTRIES = 2_500;
  for (let number = 1; number <= ENTRIES; number++) {
    const sequence = number + 1;
    const [subject, entry]: [string, RoutingEntry] =
      number % 100 === 0
        ? ['routing.closed_until', closedUntil(number)]
        : [
            `routing.entry.${sequence}`,
            { kind: 'fan_out', adId: `ad-${number % 7}`, fanOut: 1 + (number % 4), fromMs: 10_000 + number },
          ];
    const published = broker.client.publish(subject, JSON.stringify(entry));
    if (number % 500 === 0) await published;
  }
  await expect
    .poll(async () => (await broker.manager.streams.info('ROUTING')).state.last_seq)
    .toBe(ENTRIES + 1);
  const { table } = await openLog();
  expect([table.sequence, table.closedUntilMs, table.fanOutsSince(0)]).toEqual([
    ENTRIES + 1,
    ENTRIES,
    ENTRIES - ENTRIES / 100,
  ]);
  // One by one, as somebody who was there all along.
  await along.read();
  for (let ad = 0; ad < 7; ad++)
    expect(table.newestFanOut(`ad-${ad}`)).toEqual(along.table.newestFanOut(`ad-${ad}`));
  await expect.poll(() => broker.manager.consumers.list('ROUTING').next()).toEqual([]);
});

test('what a portion lacks is read one by one: no entry is ever left out', async () => {
  const log = await openLog();
  await log.append(CREATED);
  for (let number = 0; number < 40; number++)
    await log.append({ kind: 'fan_out', adId: `ad-${number}`, fanOut: 2, fromMs: 5 });
  const { client, manager } = broker;
  // A message of the portion gets lost on its way.
  const lossy = Object.create(client) as typeof client;
  Object.defineProperty(lossy, 'consumers', {
    value: {
      get: async (stream: string, name: string) => {
        const consumer = await client.consumers.get(stream, name);
        const fetch = consumer.fetch.bind(consumer);
        consumer.fetch = async (options) => {
          const messages = await fetch(options);
          const iterate = messages[Symbol.asyncIterator].bind(messages);
          messages[Symbol.asyncIterator] = async function* () {
            let count = 0;
            for await (const message of { [Symbol.asyncIterator]: iterate }) {
              count += 1;
              if (count !== 20) yield message;
            }
          } as typeof iterate;
          return messages;
        };
        return consumer;
      },
    },
  });
  const fresh = new RoutingLog(lossy, manager);
  await fresh.read();
  expect([fresh.table.sequence, fresh.table.fanOutsSince(0)]).toEqual([41, 40]);
}, 20_000);
