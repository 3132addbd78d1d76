/** Streams and routing table come up to what the settings ask for, and refuse what cannot be had. */
import { nanos } from 'nats';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ageLimits, clickStream, listShards } from '../../../src/adapters/nats/clickStreams.ts';
import { RoutingLog } from '../../../src/adapters/nats/routingLog.ts';
import { prepareTopology, type Topology, TopologyError } from '../../../src/adapters/nats/topology.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, openBroker } from './clicks.ts';

const DAY_MS = 86_400_000;
const TOPOLOGY: Topology = {
  shards: 3,
  rules: { version: 1, maxFutureSkewMs: 300_000, maxEventAgeMs: 365 * DAY_MS, dedupHorizonMs: DAY_MS },
};

let server: OwnServer;
let broker: Broker;

beforeEach(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
});
afterEach(async () => {
  await broker.connection.close();
  await server.stop();
});

async function routing(): Promise<RoutingLog> {
  const log = new RoutingLog(broker.client, broker.manager);
  await log.read();
  return log;
}

const maxAges = async () =>
  Promise.all(
    (await listShards(broker.manager)).map(
      async (shard) => (await broker.manager.streams.info(clickStream(shard))).config.max_age,
    ),
  );

test('a new installation gets its streams and the first entry of its table', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  expect(await listShards(broker.manager)).toEqual([0, 1, 2]);
  const { table } = await routing();
  expect([table.sequence, table.newestShards, table.rules]).toEqual([1, 3, TOPOLOGY.rules]);
  for (const name of ['ROUTING', 'CLICKS_0', 'CLICKS_1', 'CLICKS_2']) {
    const { config } = await broker.manager.streams.info(name);
    expect(config).toMatchObject({
      deny_delete: true,
      deny_purge: true,
      storage: 'file',
      retention: 'limits',
    });
  }
  const { config } = await broker.manager.streams.info('CLICKS_1');
  expect(config).toMatchObject({
    subjects: ['clicks.1'],
    max_age: 0,
    max_msgs: -1,
    max_bytes: -1,
    duplicate_window: nanos(120_000),
  });
  await expect(broker.manager.streams.purge('CLICKS_1')).rejects.toThrow();
  await expect(broker.manager.streams.purge('ROUTING')).rejects.toThrow();
});

test('a second time changes nothing', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  const before = await broker.manager.streams.info('CLICKS_0');
  await prepareTopology(broker.connection, TOPOLOGY);
  expect((await routing()).table.sequence).toBe(1);
  const after = await broker.manager.streams.info('CLICKS_0');
  expect([after.created, after.config]).toEqual([before.created, before.config]);
});

test('several that start at once make one installation', async () => {
  const brokers = await Promise.all([1, 2, 3, 4].map(() => openBroker(server.url)));
  await Promise.all(brokers.map(({ connection }) => prepareTopology(connection, TOPOLOGY)));
  await Promise.all(brokers.map(({ connection }) => connection.close()));
  expect(await listShards(broker.manager)).toEqual([0, 1, 2]);
  expect((await routing()).table.sequence).toBe(1);
});

test('more shards get streams, and an entry that begins where nothing is published yet', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  const log = await routing();
  expect(await log.append({ kind: 'closed_until', untilMs: 1_760_000_000_000 })).toBe(true);
  const brokers = await Promise.all([1, 2, 3].map(() => openBroker(server.url)));
  await Promise.all(brokers.map(({ connection }) => prepareTopology(connection, { ...TOPOLOGY, shards: 5 })));
  await Promise.all(brokers.map(({ connection }) => connection.close()));
  expect(await listShards(broker.manager)).toEqual([0, 1, 2, 3, 4]);
  const { table } = await routing();
  expect([table.sequence, table.newestShards, table.closedUntilMs]).toEqual([3, 5, 1_760_000_000_000]);
  const { data } = await broker.manager.streams.getMessage('ROUTING', { seq: 3 });
  expect(JSON.parse(Buffer.from(data).toString())).toEqual({
    kind: 'shards',
    shards: 5,
    fromMs: 1_760_000_000_000,
  });
});

test('fewer shards are refused with both numbers', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  const fewer = prepareTopology(broker.connection, { ...TOPOLOGY, shards: 2 });
  await expect(fewer).rejects.toThrow(TopologyError);
  await expect(prepareTopology(broker.connection, { ...TOPOLOGY, shards: 2 })).rejects.toThrow(
    /SHARDS=2 .* 3 streams .* set SHARDS=3, as it was when they were made/,
  );
  expect(await listShards(broker.manager)).toEqual([0, 1, 2]);
});

test.each([
  ['DEDUP_HORIZON', { dedupHorizonMs: 2 * DAY_MS }, '2d', '1d'],
  ['MAX_EVENT_AGE', { maxEventAgeMs: 60_000 }, '1m', '1y'],
  ['MAX_FUTURE_SKEW', { maxFutureSkewMs: 0 }, '0ms', '5m'],
])('another %s is refused with both values, and nothing is made', async (name, change, here, there) => {
  await prepareTopology(broker.connection, TOPOLOGY);
  const other = { ...TOPOLOGY, shards: 9, rules: { ...TOPOLOGY.rules, ...change } };
  const error: unknown = await prepareTopology(broker.connection, other).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TopologyError);
  expect(String(error)).toContain(`${name} is ${here}, but this installation was made with ${there}:`);
  expect(await listShards(broker.manager)).toEqual([0, 1, 2]);
  expect((await routing()).table.sequence).toBe(1);
});

test('the age limit of an earlier release, or of a killed archiver, is taken back', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  for (const [shard, maxAgeMs] of [
    [0, 30 * DAY_MS],
    [2, 60_000],
  ] as const)
    await broker.manager.streams.update(clickStream(shard), ageLimits(maxAgeMs));
  expect(await maxAges()).toEqual([nanos(30 * DAY_MS), 0, nanos(60_000)]);
  await prepareTopology(broker.connection, TOPOLOGY);
  expect(await maxAges()).toEqual([0, 0, 0]);
  const { config } = await broker.manager.streams.info(clickStream(2));
  expect(config.duplicate_window).toBe(nanos(120_000));
});

test('streams of others are no shards', async () => {
  await prepareTopology(broker.connection, TOPOLOGY);
  for (const name of ['CLICKS_x', 'CLICKS_', 'OTHER_1', 'CLICKS_1_copy']) {
    await broker.manager.streams.add({ name, subjects: [`other.${name}`] });
  }
  expect(await listShards(broker.manager)).toEqual([0, 1, 2]);
});

test('more replicas than there are servers are refused, before and after the streams were made', async () => {
  const refused = /^STREAM_REPLICAS=3 is more than these NATS servers can hold \(.*\): it takes a cluster/;
  await expect(prepareTopology(broker.connection, { ...TOPOLOGY, replicas: 3 })).rejects.toThrow(refused);
  await prepareTopology(broker.connection, TOPOLOGY);
  await expect(prepareTopology(broker.connection, { ...TOPOLOGY, replicas: 3 })).rejects.toThrow(refused);
});
