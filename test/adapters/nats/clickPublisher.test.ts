/** Publishing: a receipt names the message's place for ever, and comes only when the broker has it (I1). */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ClickPublisher } from '../../../src/adapters/nats/clickPublisher.ts';
import { clickStream, ensureClickStreams, readStreamState } from '../../../src/adapters/nats/clickStreams.ts';
import { Connectivity } from '../../../src/adapters/nats/connectivity.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, brokerForTest, newShard, openBroker } from './clicks.ts';

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

const publisherOf = ({ connection, client, manager }: Broker, timeoutMs = 5_000) =>
  new ClickPublisher(client, manager, new Connectivity(connection), timeoutMs);
const bytesOf = (text: string) => Buffer.from(text);

async function storedText(shard: number, sequence: number): Promise<string> {
  return (await broker.manager.streams.getMessage(clickStream(shard), { seq: sequence })).string();
}

test('a receipt names stream, incarnation and sequence of the message', async () => {
  const shard = await newShard(broker);
  const { incarnation } = await readStreamState(broker.manager, shard);
  const publisher = publisherOf(broker);
  for (const sequence of [1, 2, 3]) {
    const receipt = await publisher.publish(shard, bytesOf(`batch ${sequence}`), `id ${sequence}`);
    expect(receipt).toEqual({ incarnation, sequence });
    expect(await storedText(shard, sequence)).toBe(`batch ${sequence}`);
  }
});

test('a batch published again under its id is absorbed, with the receipt of the first time', async () => {
  const shard = await newShard(broker);
  const publisher = publisherOf(broker);
  const first = await publisher.publish(shard, bytesOf('one'), 'same');
  await publisher.publish(shard, bytesOf('two'), 'other');
  expect(await publisher.publish(shard, bytesOf('one'), 'same')).toEqual(first);
  // By another process, too, whose first publish it is.
  expect(await publisherOf(broker).publish(shard, bytesOf('one'), 'same')).toEqual(first);
  expect((await publisher.publish(shard, bytesOf('three'), 'third')).sequence).toBe(3);
  expect((await readStreamState(broker.manager, shard)).lastSequence).toBe(3);
});

test('one id on two shards is two batches', async () => {
  const [one, two] = [await newShard(broker), await newShard(broker)];
  const publisher = publisherOf(broker);
  await publisher.publish(one, bytesOf('one'), 'same');
  expect(await publisher.publish(two, bytesOf('two'), 'same')).toMatchObject({ sequence: 1 });
  expect(await storedText(two, 1)).toBe('two');
});

test('many at once get sequences of their own', async () => {
  const shard = await newShard(broker);
  const publisher = publisherOf(broker);
  const receipts = await Promise.all(
    Array.from({ length: 200 }, (_, index) => publisher.publish(shard, bytesOf(`${index}`), `id ${index}`)),
  );
  expect(new Set(receipts.map(({ sequence }) => sequence)).size).toBe(200);
  expect(new Set(receipts.map(({ incarnation }) => incarnation)).size).toBe(1);
  for (const [index, { sequence }] of receipts.entries()) {
    if (index % 20 === 0) expect(await storedText(shard, sequence)).toBe(`${index}`);
  }
});

test('a stream that was deleted and made anew has another incarnation in its receipts', async () => {
  const shard = await newShard(broker);
  const publisher = publisherOf(broker);
  const before = await publisher.publish(shard, bytesOf('one'), 'first');
  await publisher.publish(shard, bytesOf('two'), 'second');
  await broker.manager.streams.delete(clickStream(shard));
  await ensureClickStreams(broker.manager, shard + 1);
  const { incarnation } = await readStreamState(broker.manager, shard);
  expect(incarnation).not.toBe(before.incarnation);
  expect(await publisher.publish(shard, bytesOf('one'), 'first')).toEqual({ incarnation, sequence: 1 });
  expect(await publisher.publish(shard, bytesOf('three'), 'third')).toEqual({ incarnation, sequence: 2 });
});

test('a shard that has no stream is an error, not a receipt', async () => {
  await expect(publisherOf(broker).publish(999, bytesOf('lost'), 'id')).rejects.toThrow();
});

test('a broker that holds still is an error in time, and the same batch again is stored once', async () => {
  const own = await startNats();
  onTestFinished(() => own.stop());
  const other = await brokerForTest(own.url);
  await ensureClickStreams(other.manager, 1);
  const publisher = publisherOf(other, 300);
  expect(await publisher.publish(0, bytesOf('one'), 'one')).toMatchObject({ sequence: 1 });
  own.pause();
  await expect(publisher.publish(0, bytesOf('two'), 'two')).rejects.toThrow(/timeout/i);
  own.resume();
  const patient = publisherOf(other);
  expect(await patient.publish(0, bytesOf('two'), 'two')).toMatchObject({ sequence: 2 });
  expect((await readStreamState(other.manager, 0)).lastSequence).toBe(2);
});

test('without a connection a publish fails at once, and works again with the connection', async () => {
  const own = await startNats();
  onTestFinished(() => own.stop());
  const other = await brokerForTest(own.url);
  await ensureClickStreams(other.manager, 1);
  const publisher = publisherOf(other, 20_000);
  expect(await publisher.publish(0, bytesOf('one'), 'one')).toMatchObject({ sequence: 1 });
  await own.kill();
  await expect
    .poll(() => publisher.publish(0, bytesOf('two'), 'two').catch(String))
    .toContain('no connection');
  await own.restart();
  await expect
    .poll(() => publisher.publish(0, bytesOf('two'), 'two').catch(() => undefined), { timeout: 10_000 })
    .toMatchObject({ sequence: 2 });
});

test('what was acknowledged is there after the broker was killed', async () => {
  const own = await startNats();
  onTestFinished(() => own.stop());
  const other = await brokerForTest(own.url);
  await ensureClickStreams(other.manager, 1);
  const publisher = publisherOf(other);
  const receipts = await Promise.all(
    Array.from({ length: 50 }, (_, index) => publisher.publish(0, bytesOf(`${index}`), `id ${index}`)),
  );
  await own.kill();
  await own.restart();
  const after = await brokerForTest(own.url);
  const state = await readStreamState(after.manager, 0);
  expect(state.lastSequence).toBe(50);
  expect(receipts.every(({ incarnation }) => incarnation === state.incarnation)).toBe(true);
  // The broker remembers ids across the crash as well.
  expect(await publisherOf(after).publish(0, bytesOf('7'), 'id 7')).toEqual(receipts[7]);
});
