/** What a gateway left in its spool, sent by another one: all of it, once, and the folder is let go (I1). */
import { expect, it } from 'vitest';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { LeftSpools } from '../../src/gateway/leftSpools.ts';
import type { SpoolFolder } from '../../src/gateway/ports.ts';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns, until } from '../support/until.ts';

const SHARDS = 3;
const timers = { pause: () => turns(1), nextTurn: (work: () => void) => void setImmediate(work) };

const clicks = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) =>
    recordOf({ adId: `ad-${index % 5}`, clickId: uuid7At(NOON_MS, from + index), impressionId: undefined }),
  );

/** Two gateways that were killed while the broker was away, with ten clicks each in their spools; and one that runs. */
async function setUp() {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(SHARDS);
  const routing = new MemoryRoutingStream(SHARDS, RULES);
  streams.trouble.failNext('publish', 'before', Infinity);
  const left: MemorySpoolFolder[] = [];
  for (const gateway of [0, 1]) {
    const folder = new MemorySpoolFolder();
    const { clickLog } = await clickPathOver(streams, routing.open(), { folder, timers });
    expect(new Set(await clickLog.append(clicks(gateway * 10, 10)))).toEqual(new Set(['spooled']));
    left.push(folder);
  }
  const { openLeftSpool, spool } = await clickPathOver(streams, routing.open(), { timers });
  const closed: SpoolFolder[] = [];
  const spools = new LeftSpools({
    takeLeft: async () => {
      const folder = left.shift();
      return folder && Object.assign(folder, { close: () => closed.push(folder) });
    },
    openLeftSpool,
    timers,
    log: new SilentLog(),
  });
  const standing = () =>
    Array.from({ length: SHARDS }, (_, shard) =>
      streams.messages(shard).flatMap(({ bytes }) => decodeClickBatch(bytes)?.records ?? []),
    )
      .flat()
      .map(({ facts }) => Buffer.from(facts?.clickId ?? []).readUInt32BE(12))
      .sort((one, other) => one - other);
  return { streams, spools, spool, left, closed, standing };
}

it('sends what every gateway left that runs no more, and keeps nothing of it', async () => {
  const { streams, spools, spool, closed, standing } = await setUp();
  const stop = new AbortController();
  const running = spools.run(stop.signal);
  await until(() => spools.bytes > 0);
  expect(closed).toEqual([]);
  streams.trouble.mend();
  await until(() => closed.length === 2);
  expect(standing()).toEqual(Array.from({ length: 20 }, (_, index) => index));
  for (const folder of closed) expect((await folder.list()).segments).toEqual([]);
  expect([spools.bytes, spool.bytes]).toEqual([0, 0]);
  stop.abort();
  await running;
});

it('lets go of spools that it could not send when it is asked to end; nothing in them is lost', async () => {
  const { spools, closed, left } = await setUp();
  const stop = new AbortController();
  const running = spools.run(stop.signal);
  await until(() => spools.bytes > 0);
  stop.abort();
  await running;
  expect([closed.length, left.length]).toEqual([2, 0]);
  for (const folder of closed) expect((await folder.list()).segments).not.toEqual([]);
});
