/** What waited in a spool for longer than the fold remembers is counted once all the same (I1, I4). */
import { expect, it } from 'vitest';
import { clickPathOver } from '../support/clickPath.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { SilentLog } from '../support/silentLog.ts';
import { turns, until } from '../support/until.ts';

const never = new AbortController().signal;
const timers = { pause: () => turns(1), nextTurn: (work: () => void) => void setImmediate(work) };
const click = (number: number) =>
  recordOf({ adId: 'ad', clickId: uuid7At(NOON_MS, number), impressionId: undefined });

/** One shard whose clock the test sets, and gateways one after another on one disk. */
function setUp() {
  const time = { nowMs: NOON_MS };
  const streams = new MemoryStreams(() => time.nowMs);
  streams.ensure(1);
  const routing = new MemoryRoutingStream(1, RULES).open();
  const folder = new MemorySpoolFolder();
  const log = new SilentLog();
  const startGateway = () =>
    clickPathOver(streams, routing, { folder, log, timers, clock: () => time.nowMs });
  /** The last gateway is gone, and the next one starts so much later; nobody remembers the batch ids. */
  const startAfter = (ms: number) => {
    folder.crash(() => 0);
    time.nowMs += ms;
    streams.forgetBatchIds();
    return startGateway();
  };
  return { streams, routing, log, startGateway, startAfter };
}

it('a batch whose acknowledgement was lost is not sent again after the horizon', async () => {
  const { streams, startGateway, startAfter } = setUp();
  streams.trouble.failNext('publish', 'after');
  expect(await (await startGateway()).clickLog.append([click(1)])).toEqual(['spooled']);
  const { spool, drainSpool } = await startAfter(RULES.dedupHorizonMs * 2);
  void drainSpool(never);
  await until(() => spool.bytes === 0);
  expect(streams.messages(0).length).toBe(1);
});

it('a batch that did not get there is sent, however old it is', async () => {
  const { streams, startGateway, startAfter } = setUp();
  streams.trouble.failNext('publish', 'before');
  await (await startGateway()).clickLog.append([click(1)]);
  const { spool, drainSpool } = await startAfter(RULES.dedupHorizonMs * 2);
  void drainSpool(never);
  await until(() => spool.bytes === 0);
  expect(streams.messages(0).length).toBe(1);
});

it.each(['a batch that was not tried before', 'clicks that could not be routed'])(
  '%s and that a drain had sent before it was killed is not sent again after the horizon',
  async (what) => {
    const { streams, routing, startGateway, startAfter } = setUp();
    const first = await startGateway();
    if (what === 'clicks that could not be routed') routing.trouble.failNext('read', 'before');
    else {
      streams.trouble.failNext('publish', 'before');
      await first.clickLog.append([click(1)]);
    }
    // Its shard is away already, or has no route.
    await first.clickLog.append([click(2)]);
    streams.trouble.mend();
    const all = what === 'clicks that could not be routed' ? 1 : 2;
    const killed = streams.trouble.hold('publish', 'after');
    const alsoKilled = streams.trouble.hold('publish', 'after');
    void first.drainSpool(never);
    await killed.reached;
    if (all === 2) await alsoKilled.reached;
    expect(streams.messages(0).length).toBe(all);
    const { spool, drainSpool } = await startAfter(RULES.dedupHorizonMs * 2);
    void drainSpool(never);
    await until(() => spool.bytes === 0);
    expect(streams.messages(0).length).toBe(all);
  },
);

it('a stream that cannot be searched holds back what is old, and says so once', async () => {
  const { streams, log, startGateway, startAfter } = setUp();
  streams.trouble.failNext('publish', 'after');
  await (await startGateway()).clickLog.append([click(1)]);
  const { spool, drainSpool } = await startAfter(RULES.dedupHorizonMs * 2);
  streams.trouble.failNext('findStanding', 'before', Infinity);
  void drainSpool(never);
  await turns(100);
  expect(spool.bytes).toBeGreaterThan(0);
  expect(streams.messages(0).length).toBe(1);
  expect(log.lines.filter(({ message }) => message.includes('cannot be searched')).length).toBe(1);
  streams.trouble.mend();
  await until(() => spool.bytes === 0);
  expect(streams.messages(0).length).toBe(1);
});

it('what the fold still recognises is sent without a search', async () => {
  const { streams, startGateway, startAfter } = setUp();
  streams.trouble.failNext('publish', 'after');
  await (await startGateway()).clickLog.append([click(1)]);
  const { spool, drainSpool } = await startAfter(RULES.dedupHorizonMs / 4);
  streams.trouble.failNext('findStanding', 'before', Infinity);
  void drainSpool(never);
  await until(() => spool.bytes === 0);
  expect(streams.messages(0).length).toBe(2);
});
