/** Looking up which batches stand on a stream: what was published is found, and "not there" is only said when all was seen. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clickSubject } from '../../../src/adapters/nats/clickStreams.ts';
import { StandingBatches } from '../../../src/adapters/nats/standingBatches.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, newShard, openBroker } from './clicks.ts';

const MARGIN_MS = 600_000;
const never = new AbortController().signal;

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

/** Each message is an fsync of its own: more of them at once wait longer than a publish may. */
const AT_ONCE = 100;

/** Publishes batches `from` to `to` - 1 under their numbers as ids. */
async function publish(shard: number, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, to - first) }, (_, index) => first + index);
    await Promise.all(
      numbers.map((number) =>
        broker.client.publish(clickSubject(shard), Buffer.alloc(200), { msgID: `${number}` }),
      ),
    );
  }
}

function find(shard: number, ids: readonly number[], sinceMs = Date.now(), stop = never) {
  const standing = new StandingBatches(broker.client, broker.manager);
  return standing.find(shard, new Set(ids.map(String)), sinceMs, stop);
}

test('what stands there is found, among more messages than one portion holds', async () => {
  const shard = await newShard(broker);
  await publish(shard, 0, 6_000);
  expect(await find(shard, [0, 17, 5_999, 6_000])).toEqual(new Set(['0', '17', '5999']));
});

test('a stream that is empty, or holds nothing of that time, holds none', async () => {
  const shard = await newShard(broker);
  expect(await find(shard, [1])).toEqual(new Set());
  await publish(shard, 0, 2);
  expect(await find(shard, [1], Date.now() + 2 * MARGIN_MS)).toEqual(new Set());
});

test('a gateway whose clock is some minutes ahead finds it all the same', async () => {
  const shard = await newShard(broker);
  await publish(shard, 0, 2);
  expect(await find(shard, [1], Date.now() + MARGIN_MS - 60_000)).toEqual(new Set(['1']));
});

test('what comes meanwhile does not keep it from ending', async () => {
  const shard = await newShard(broker);
  await publish(shard, 0, 100);
  let isOver = false;
  const more = (async () => {
    for (let from = 100; !isOver; from += 100) await publish(shard, from, from + 100);
  })();
  expect(await find(shard, [99])).toEqual(new Set(['99']));
  isOver = true;
  await more;
});

test('a stream that does not exist, and an end before all was seen, are no answers', async () => {
  await expect(find(9_999, [1])).rejects.toThrow('stream not found');
  const shard = await newShard(broker);
  await publish(shard, 0, 2);
  await expect(find(shard, [5], Date.now(), AbortSignal.abort())).rejects.toThrow('abort');
});
