/** What is old goes off a real stream, and nothing else; an age limit that a crash leaves told is harmless and is taken back. */
import { nanos } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { liftAgeLimit, removeOlderThan } from '../../../src/adapters/nats/ageLimit.ts';
import { ClickReader } from '../../../src/adapters/nats/clickReader.ts';
import { ageLimits, clickStream, readStreamState } from '../../../src/adapters/nats/clickStreams.ts';
import { systemTimers } from '../../../src/adapters/system/timers.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, newShard, openBroker, publishAll } from './clicks.ts';

const SILENT = () => undefined;

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

const state = (shard: number) => readStreamState(broker.manager, shard);
const limitOf = async (shard: number) => {
  const { config } = await broker.manager.streams.info(clickStream(shard));
  return [config.max_age, config.duplicate_window];
};
const NO_LIMIT = [0, nanos(120_000)];

test('removes what is older, keeps all that is younger, and keeps the sequences', async () => {
  const shard = await newShard(broker);
  await publishAll(broker, shard, Array<string>(2_000).fill('old'));
  await Bun.sleep(4_000);
  await publishAll(broker, shard, Array<string>(500).fill('young'));
  const { brokerTimeMs, incarnation } = await state(shard);
  const reader = new ClickReader(broker.client, broker.manager, SILENT);
  const keepFrom = await reader.firstSequenceAt(shard, incarnation, brokerTimeMs - 3_500);
  expect(keepFrom).toBe(2_001);
  // Clicks go on coming.
  const publishing = publishAll(broker, shard, Array<string>(500).fill('younger'));
  expect(await removeOlderThan(broker.manager, shard, 3_500, keepFrom, systemTimers)).toBe(2_001);
  await publishing;
  expect(await state(shard)).toMatchObject({ firstSequence: 2_001, lastSequence: 3_000 });
  expect(await limitOf(shard)).toEqual(NO_LIMIT);
  // And it stays so when the rest grows as old.
  await Bun.sleep(4_000);
  expect(await state(shard)).toMatchObject({ firstSequence: 2_001, lastSequence: 3_000 });
});

test('a limit that was left told removes nothing that is younger, whatever comes and whoever restarts', async () => {
  const own = await startNats();
  const other = await openBroker(own.url);
  try {
    const shard = await newShard(other);
    await publishAll(other, shard, Array<string>(300).fill('first'));
    // As a killed archiver leaves it.
    await other.manager.streams.update(clickStream(shard), ageLimits(60_000));
    await publishAll(other, shard, Array<string>(20_000).fill('load'));
    await own.kill();
    await own.restart();
    const again = await openBroker(own.url);
    await publishAll(again, shard, Array<string>(2_000).fill('load'));
    expect(await readStreamState(again.manager, shard)).toMatchObject({
      firstSequence: 1,
      lastSequence: 22_300,
    });
    await liftAgeLimit(again.manager, shard);
    const { config } = await again.manager.streams.info(clickStream(shard));
    expect([config.max_age, config.duplicate_window]).toEqual(NO_LIMIT);
    await again.connection.close();
  } finally {
    await other.connection.close();
    await own.stop();
  }
}, 60_000);

test('an archived message has the time that readers of the stream see, and the id it was published with', async () => {
  const shard = await newShard(broker);
  for (let number = 0; number < 50; number++)
    await broker.client.publish(`clicks.${shard}`, `${number}`, { msgID: `batch-${number}` });
  await publishAll(broker, shard, ['without']);
  const reader = new ClickReader(broker.client, broker.manager, SILENT);
  const { incarnation } = await state(shard);
  const { signal } = new AbortController();
  const times: number[] = [];
  for await (const { timestampMs } of reader.read(shard, incarnation, 1, signal, 51)) times.push(timestampMs);
  const ids: (string | undefined)[] = [];
  for await (const stored of reader.readStored(shard, incarnation, 1, signal, 51)) {
    expect(Number(stored.timestampNanos) / 1e6).toBe(times[stored.sequence - 1]);
    ids.push(stored.messageId);
  }
  expect(ids).toEqual([...Array.from({ length: 50 }, (_, number) => `batch-${number}`), undefined]);
});
