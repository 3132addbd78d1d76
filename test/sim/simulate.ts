/**
 * One simulated run: clicks and chaos for a while, then rest, then the comparison. Everything in it follows from the
 * seed: run again, it does the same.
 */
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { Position } from '../../src/domain/position.ts';
import { addCounts, emptyCounts, emptyDispositions } from '../../src/domain/windowCounts.ts';
import { Chaos, makeGood } from './chaos.ts';
import { Clickers } from './clickers.ts';
import { type Expectation, expectationOf } from './oracle.ts';
import { RULES, World } from './world.ts';

const CHAOS_MS = 45_000;
/** Until everything that was late has happened. */
const SETTLE_MS = 25_000;
/** Pauses after failures grow to ten seconds; a backlog takes its time. */
const REST_BOUND_MS = 3_600_000;

export interface Run {
  readonly seed: number;
  /** What is wrong with the outcome; empty where nothing is. */
  readonly violations: readonly string[];
  readonly clicks: number;
  readonly steps: number;
  /** How often each act of the chaos was done. */
  readonly acts: ReadonlyMap<string, number>;
}

/** @param trace hears of what goes wrong and what the processes log, in order */
export async function simulate(seed: number, trace?: (line: string) => void): Promise<Run> {
  const world = new World(seed, trace);
  const realNow = Date.now;
  // Nothing that counts may read a clock. What does gets one that differs between live and replay.
  Date.now = () => world.scheduler.nowMs;
  try {
    const clickers = new Clickers(world);
    const chaos = new Chaos(world, clickers.adIds);
    const plan = planAll(world, clickers, chaos);
    // Clocks jump, so it is not over at a time, but when everything was done.
    await world.scheduler.until(() => plan.left === 0, Infinity);
    makeGood(world);
    await world.scheduler.until(() => false, SETTLE_MS);
    makeGood(world);
    const rests = await world.scheduler.until(() => isAtRest(world, clickers), REST_BOUND_MS);
    const violations = rests
      ? compare(world, clickers)
      : [`it does not come to rest: ${unrest(world, clickers)}`];
    const { steps } = world.scheduler;
    return { seed, violations, clicks: clickers.sent.size, steps, acts: chaos.done };
  } finally {
    Date.now = realNow;
  }
}

/** Clicks and acts come at times of their own, all planned beforehand; `left` of them are still to come. */
function planAll({ random, scheduler }: World, clickers: Clickers, chaos: Chaos): { readonly left: number } {
  const plan = { left: 0 };
  const some = (count: number, work: () => void) => {
    for (; count > 0; count--) {
      plan.left += 1;
      scheduler.after(random.below(CHAOS_MS), () => {
        work();
        plan.left -= 1;
      });
    }
  };
  some(10 + random.below(50), () => clickers.click());
  some(random.below(30), () => chaos.act());
  return plan;
}

function isAtRest(world: World, clickers: Clickers): boolean {
  return unrest(world, clickers) === '';
}

/** What is still to be done; empty where all is. */
function unrest(world: World, clickers: Clickers): string {
  if (!clickers.isAtRest) return 'clicks are under way';
  if (!world.gateways.every(({ isDrained }) => isDrained)) return 'a spool is not empty';
  for (const [shard, messages] of world.standing) {
    const last = messages.at(-1)?.sequence ?? 0;
    const floor = world.ledger.floorOf(shard);
    if (floor !== last) return `shard ${shard} is counted to ${floor} of ${last}`;
    const owners = world.liveNodes.filter(({ shards }) => shards.includes(shard)).length;
    if (owners !== 1) return `shard ${shard} has ${owners} owners`;
  }
  return '';
}

function compare(world: World, clickers: Clickers): string[] {
  const expected = expectationOf(world.standing, RULES);
  return [
    ...expected.split.map((identity) => `the identity ${identity} stands on two shards`),
    ...[...clickers.answered]
      .filter((clickId) => !expected.clickIds.has(clickId))
      .map((clickId) => `the click ${clickId} was answered and is on no stream`),
    ...clickers.receipts
      .filter(({ clickId, position }) => clickAt(world, position) !== clickId)
      .map(({ clickId }) => `the receipt of the click ${clickId} names another one`),
    ...[...expected.clickIds]
      .filter((clickId) => !clickers.sent.has(clickId))
      .map((clickId) => `the click ${clickId} was never sent`),
    ...compareCounts('window', world.ledger.counts, expected.counts, emptyCounts),
    ...compareCounts('rollup', world.ledger.rollups, expected.rollups, emptyDispositions),
    ...compareCounts('people', world.ledger.people, sorted(expected.people), () => []),
    ...compareShards(world, expected),
  ];
}

function sorted(sets: ReadonlyMap<string, ReadonlySet<string>>): Map<string, string[]> {
  return new Map([...sets].map(([key, values]) => [key, [...values].sort()]));
}

function clickAt({ streams }: World, { shard, sequence, index }: Position): string | undefined {
  const message = streams.messages(shard)[sequence - 1];
  return decodeClickBatch(message?.bytes ?? new Uint8Array())?.records[index]?.facts?.clickId.toHex();
}

function compareCounts<Counts>(
  what: string,
  stored: ReadonlyMap<string, Counts>,
  expected: ReadonlyMap<string, Counts>,
  none: () => Counts,
): string[] {
  return [...new Set([...stored.keys(), ...expected.keys()])].flatMap((key) => {
    const [have, want] = [stored, expected].map((counts) => JSON.stringify(counts.get(key) ?? none()));
    return have === want ? [] : [`${what} ${key.replaceAll('\0', ' ')} is ${have}, expected ${want}`];
  });
}

/** I12: records on the stream = received + duplicates + dead letters. */
function compareShards({ ledger }: World, { shards, counts }: Expectation): string[] {
  const violations: string[] = [];
  let received = 0;
  for (const [shard, want] of shards) {
    if (want.records === 0) continue;
    const { records, duplicates } = ledger.shard(shard);
    const deadLetters = ledger.deadLetters.filter((letter) => letter.shard === shard).length;
    received += records - duplicates - deadLetters;
    const have = { records, duplicates, deadLetters };
    if (JSON.stringify(have) !== JSON.stringify(want))
      violations.push(`shard ${shard} has ${JSON.stringify(have)}, expected ${JSON.stringify(want)}`);
  }
  const sum = emptyCounts();
  for (const window of counts.values()) addCounts(sum, window);
  const { valid, repeat, givt, sivt, defective, test } = sum;
  const gross = valid + repeat + givt + sivt;
  if (received !== gross + defective + test)
    violations.push(`the shards received ${received} clicks, the windows hold ${gross + defective + test}`);
  return violations;
}
