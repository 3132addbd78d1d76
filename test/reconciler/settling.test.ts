/** Which runs settle, how far, and in which order: minutes are watched before anybody looks at the counts (I13). */
import { describe, expect, it } from 'vitest';
import { encodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import type { WindowDifference } from '../../src/domain/difference.ts';
import { type CountedShard, UndecidedError } from '../../src/domain/replayRange.ts';
import type { RunStepOutcome } from '../../src/domain/restatement.ts';
import { RoutingTable } from '../../src/domain/routingTable.ts';
import type { Reclassification } from '../../src/domain/rulesInForce.ts';
import { emptyCounts } from '../../src/domain/windowCounts.ts';
import { InlineReplayers } from '../../src/reconciler/inlineReplayers.ts';
import { type ReconcileRequest, reconcile } from '../../src/reconciler/reconcile.ts';
import { NOON_MS, RULES } from '../support/clicks.ts';
import { MemoryStreams } from '../support/memoryStream.ts';

const MINUTE_MS = 60_000;
const GRACE_MS = 120_000;
const ALL = { fromMs: undefined, toMs: undefined, adIds: undefined };
const SETTLE: ReconcileRequest = {
  selection: ALL,
  fromSettled: false,
  apply: false,
  countsOnly: false,
  settle: true,
  note: undefined,
  rejudge: undefined,
};
const ZEROS = Object.fromEntries(
  Object.keys(emptyCounts()).map((name) => [name, 0n]),
) as WindowDifference['before'];
const DIFFERENCE: WindowDifference = {
  adId: 'ad',
  minute: NOON_MS,
  before: ZEROS,
  after: { ...ZEROS, valid: 1n },
  late: 0,
  needsLongerReplay: false,
};

interface World {
  readonly settledThroughMs?: number;
  readonly arrivedThroughMs?: number;
  readonly reclassifications?: readonly Reclassification[];
  readonly outcome?: RunStepOutcome;
  readonly differences?: readonly WindowDifference[];
  readonly streams?: MemoryStreams;
  readonly shards?: readonly CountedShard[];
}

/** A run over an installation, one without clicks where nothing else is given, and everything that it did, in order. */
function run(request: Partial<ReconcileRequest>, world: World = {}) {
  const { settledThroughMs = NOON_MS, arrivedThroughMs = NOON_MS + 600_000, differences = [] } = world;
  const { streams = new MemoryStreams(() => NOON_MS) } = world;
  const routing = {
    table: RoutingTable.create(1, { kind: 'created', shards: 1, rules: RULES }),
    readThrough: () => Promise.resolve(),
  };
  const did: unknown[][] = [];
  const note = (...what: unknown[]) => void did.push(what);
  const ended = reconcile(
    { ...SETTLE, ...request },
    {
      streams,
      routing,
      openReplayers: () =>
        new InlineReplayers({
          streams,
          routing,
          newSpill: () => {
            throw new Error('there is nothing to spill');
          },
          partitionRecordsMax: 10,
        }),
      openSession: async () => {
        note('open');
        return {
          shards: world.shards ?? [],
          reclassifications: world.reclassifications ?? [],
          adDifferences: () => Promise.resolve([]),
          add: () => Promise.resolve(),
          compare: async ({ fromMs }) => {
            note('compare', fromMs);
            return { windows: 1, late: 0, differing: differences.length, rollups: 0, rollupsDiffering: 0 };
          },
          async *differences() {
            yield { windows: differences, rollups: [] };
          },
          settle: async (step) => {
            note('settle', step);
            return world.outcome ?? { kind: 'done' };
          },
          close: async () => note('close'),
        };
      },
      restatements: {
        begin: async () => {
          note('begin');
          return 7;
        },
        reclassify: async (_run, { version }) => {
          note('reclassify', version);
          return { kind: 'done' };
        },
        restate: async ({ chunk, cause, note: words }) => {
          note('restate', chunk, cause, words);
          return { kind: 'done' };
        },
      },
      settling: {
        read: async () => ({ watchedThroughMs: NOON_MS, settledThroughMs, closedThroughMs: -Infinity }),
        arrivals: async () => [{ shard: 0, arrivedThroughMs }],
        watch: async (throughMs) => note('watch', throughMs),
      },
      settleGraceMs: GRACE_MS,
      timers: systemTimers,
      watcher: {
        begins: () => undefined,
        onRecords: () => undefined,
        allRead: () => undefined,
        shardDiffers: () => undefined,
        windowDiffers: () => undefined,
        rollupDiffers: () => undefined,
        adDiffers: () => undefined,
        troubled: () => undefined,
      },
      stop: new AbortController().signal,
    },
  );
  return { ended, did };
}

const THROUGH = NOON_MS + 600_000 - GRACE_MS;

describe('a run', () => {
  it('that settles has the minutes watched before it looks, and settles them after it has compared', async () => {
    const { ended, did } = run({});
    expect(await ended).toMatchObject({ run: 7, settledThroughMs: THROUGH });
    expect(did).toEqual([
      ['begin'],
      ['watch', THROUGH],
      ['open'],
      ['compare', undefined],
      ['settle', { run: 7, chunk: 1, throughMs: THROUGH, fromMs: undefined, restated: false }],
      ['close'],
    ]);
  });

  it('that restates, too, does so first, and says what a person gave as the reason', async () => {
    const differences = [DIFFERENCE];
    const { ended, did } = run({ apply: true, note: 'agreed' }, { differences });
    await ended;
    expect(did.slice(4, 6)).toEqual([
      ['restate', 1, 'MANUAL', 'agreed'],
      ['settle', { run: 7, chunk: 2, throughMs: THROUGH, fromMs: undefined, restated: true }],
    ]);
    const plain = run({ apply: true, settle: false }, { differences });
    expect((await plain.ended).settledThroughMs).toBeUndefined();
    expect(plain.did).toContainEqual(['restate', 1, 'RECONCILE', undefined]);
  });

  it('that only looks writes nothing', async () => {
    const { ended, did } = run({ settle: false }, { differences: [DIFFERENCE] });
    expect(await ended).toMatchObject({ run: undefined, settledThroughMs: undefined });
    expect(did.map(([what]) => what)).toEqual(['open', 'compare', 'close']);
  });

  it('from the settled minutes on begins where they end, or at the first where there are none', async () => {
    const later = run({ fromSettled: true });
    await later.ended;
    expect(later.did).toContainEqual(['compare', NOON_MS]);
    const first = run({ fromSettled: true }, { settledThroughMs: -Infinity });
    await first.ended;
    expect(first.did).toContainEqual(['compare', undefined]);
  });

  it('never takes back what is settled, and settles nothing while a shard has counted nothing', async () => {
    const slow = run({}, { arrivedThroughMs: NOON_MS });
    expect((await slow.ended).settledThroughMs).toBe(NOON_MS);
    const none = run({}, { arrivedThroughMs: 0, settledThroughMs: -Infinity });
    expect((await none.ended).settledThroughMs).toBe(-Infinity);
    expect(none.did.map(([what]) => what)).not.toContain('settle');
  });

  it.each([
    ['some ads', { adIds: new Set(['ad']) }, 'right is without --ads'],
    ['a gap', { fromMs: NOON_MS + MINUTE_MS }, 'leaves a gap: minutes are settled through'],
    ['an early end', { toMs: THROUGH - MINUTE_MS }, 'right is a later --to'],
  ])('that would settle over %s is refused before anything is watched', async (_what, selection, words) => {
    const { ended, did } = run({ selection: { ...ALL, ...selection } });
    await expect(ended).rejects.toThrow(words);
    expect(did).toEqual([['begin']]);
  });

  it('that another one has overtaken says so', async () => {
    const { ended } = run({}, { outcome: { kind: 'fenced', found: 'run 8 has begun and is at part 0' } });
    await expect(ended).rejects.toThrow(UndecidedError);
    await expect(ended).rejects.toThrow('run 8 has begun');
  });
});

it('over the end of a long stream goes by what stands there, not by what the stream ever held', async () => {
  const streams = new MemoryStreams(() => NOON_MS);
  streams.ensure(1);
  const batch = encodeClickBatch(1, []);
  for (let message = 1; message <= 98; message++) streams.append(0, batch, NOON_MS - 7 * 86_400_000);
  for (let message = 99; message <= 100; message++) streams.append(0, batch, NOON_MS);
  const shards = [{ shard: 0, incarnation: 'made-1', floor: 100, records: 100, deadLetters: 0 }];
  const world = { streams, shards };
  const whole = run({ settle: false }, world);
  await expect(whole.ended).rejects.toThrow('there is nothing to spill');
  const { ended } = run({ settle: false, selection: { ...ALL, fromMs: NOON_MS } }, world);
  expect(await ended).toMatchObject({ shards: 1, records: 0 });
});
