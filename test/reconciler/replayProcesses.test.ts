/** Shards replayed by processes of their own: they recount what this process recounts, and say why where they cannot. */
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { SpillFiles } from '../../src/adapters/disk/spillFiles.ts';
import {
  decodeClickBatch,
  encodeClickBatch,
  encodeClickRecord,
} from '../../src/adapters/nats/clickBatchCodec.ts';
import { ClickReader } from '../../src/adapters/nats/clickReader.ts';
import { clickSubject, readStreamState } from '../../src/adapters/nats/clickStreams.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import { prepareTopology } from '../../src/adapters/nats/topology.ts';
import { ReplayProcesses } from '../../src/adapters/recount/replayProcesses.ts';
import type { RecountedPortion } from '../../src/domain/recount.ts';
import type { Replayers, ReplayOrder } from '../../src/domain/replayers.ts';
import { StreamGapError } from '../../src/domain/streamMessage.ts';
import { addCounts, emptyCounts, type WindowCounts } from '../../src/domain/windowCounts.ts';
import { InlineReplayers } from '../../src/reconciler/inlineReplayers.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { startNats } from '../support/nats.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { addRollup, type Rollups } from '../support/rollups.ts';

const MESSAGES = 300;
const RECORDS_A_MESSAGE = 20;
const TIMEOUT_MS = 60_000;
const DAY_MS = 86_400_000;

let server: OwnServer;
let broker: Broker;
let routing: RoutingLog;
let order: ReplayOrder;

beforeAll(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
  await prepareTopology(broker.connection, { shards: 1, rules: RULES });
  routing = new RoutingLog(broker.client, broker.manager);
  await routing.read();
  for (let message = 0; message < MESSAGES; message++) {
    const records = Array.from({ length: RECORDS_A_MESSAGE }, (_, index) => {
      const number = message * RECORDS_A_MESSAGE + index;
      // Every third click comes on the impression of another one, every seventh is sent again.
      return encodeClickRecord(
        recordOf({
          adId: `ad-${number % 11}`,
          clickId: uuid7At(NOON_MS, number - (number % 7 === 6 ? 1 : 0)),
          impressionId: uuid7At(NOON_MS, 100_000 + Math.floor(number / 3)),
          eventTimeMs: NOON_MS - (number % 5) * 60_000,
          country: number % 2 === 0 ? 'DE' : '',
          os: `os ${number % 3}`,
          referrer: `https://site-${number % 13}.example/page/${number}`,
        }),
      );
    });
    await broker.client.publish(clickSubject(0), encodeClickBatch(routing.table.sequence, records));
  }
  const { incarnation } = await readStreamState(broker.manager, 0);
  order = {
    range: { shard: 0, incarnation, fromSequence: 1, throughSequence: MESSAGES },
    recordsMost: MESSAGES * RECORDS_A_MESSAGE,
    selection: { fromMs: NOON_MS - DAY_MS, toMs: NOON_MS + DAY_MS, adIds: undefined },
    withDimensions: true,
    reclassifications: [],
  };
});
afterAll(async () => {
  await broker.connection.close();
  await server.stop();
});

function processes(changes: Record<string, string> = {}): ReplayProcesses {
  const environment = { ...process.env, NATS_URL: server.url, CLICKLEDGER_ARCHIVE: tmpdir(), ...changes };
  const replayers = new ReplayProcesses(
    environment,
    () => routing.table.sequence,
    () => undefined,
  );
  onTestFinished(() => replayers.close());
  return replayers;
}

async function recount(replayers: Replayers, changes: Partial<ReplayOrder> = {}) {
  const windows = new Map<string, WindowCounts>();
  const rollups: Rollups = new Map();
  let heard = 0;
  const replayed = await replayers.replay(
    { ...order, ...changes },
    {
      add: async (portion: RecountedPortion) => {
        for (const { adId, minute, counts } of portion.windows) {
          const sum = windows.get(`${adId} ${minute}`) ?? emptyCounts();
          addCounts(sum, counts);
          windows.set(`${adId} ${minute}`, sum);
        }
        for (const row of portion.rollups) addRollup(rollups, row);
      },
      onRecords: (records) => {
        heard += records;
      },
      stop: new AbortController().signal,
    },
  );
  return { windows, rollups, replayed, heard };
}

test('recount what this process recounts, one shard after the other', { timeout: TIMEOUT_MS }, async () => {
  const reader = new ClickReader(broker.client, broker.manager, () => undefined);
  const inline = new InlineReplayers({
    streams: {
      state: (shard) => readStreamState(broker.manager, shard),
      firstSequenceAt: (...place) => reader.firstSequenceAt(...place),
      read: (...place) => reader.read(...place),
      decode: decodeClickBatch,
    },
    routing,
    newSpill: (parts) => SpillFiles.create(tmpdir(), parts),
    partitionRecordsMax: 1_000,
  });
  const here = await recount(inline);
  expect(here.windows.size).toBeGreaterThan(40);
  expect(here.rollups.size).toBeGreaterThan(40);
  const there = processes();
  expect(await recount(there)).toEqual(here);
  expect(await recount(there)).toEqual(here);
  const without = { withDimensions: false };
  expect(await recount(there, without)).toEqual({ ...here, rollups: new Map() });
  const some = { selection: { ...order.selection, adIds: new Set(['ad-3']) } };
  expect(await recount(there, some)).toEqual(await recount(inline, some));
});

test('say why they cannot, as who reads here does', { timeout: TIMEOUT_MS }, async () => {
  const beyond = { range: { ...order.range, incarnation: 'another' } };
  await expect(recount(processes(), beyond)).rejects.toBeInstanceOf(StreamGapError);
  await expect(recount(processes({ NATS_URL: 'nats://127.0.0.1:1' }))).rejects.toThrow(
    /ended with exit code/,
  );
});

test('end with whoever stops them, and fail with what takes their windows', {
  timeout: TIMEOUT_MS,
}, async () => {
  const stop = new AbortController();
  const hooks = { add: async () => undefined, onRecords: () => undefined, stop: stop.signal };
  const stopped = processes().replay(order, { ...hooks, onRecords: () => stop.abort(new Error('enough')) });
  await expect(stopped).rejects.toThrow('enough');
  const add = () => Promise.reject(new Error('the table is gone'));
  const { signal } = new AbortController();
  await expect(processes().replay(order, { ...hooks, add, stop: signal })).rejects.toThrow(
    'the table is gone',
  );
});
