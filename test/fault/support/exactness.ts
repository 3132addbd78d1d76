/**
 * The end of every fault test: waits until everything on the streams is counted, then compares what is stored with
 * what must be, exactly. Not "until it is equal": a count that is right for a moment and then doubled would pass.
 */
import { expect } from 'vitest';
import { queryClient } from '../../../src/adapters/grpc/clients.ts';
import { type Counts, NO_COUNTS } from './clickPlan.ts';
import type { Cluster } from './cluster.ts';
import { ofAd, onDatabase, readCounts, readShards, type ShardRow, sumOfCounts, total } from './ledger.ts';
import { SETTLE_BOUND_MS } from './length.ts';
import type { Load } from './load.ts';
import { countRecords, onNats, readEnds } from './streams.ts';

const POLL_MS = 25;
const ADS_A_QUERY = 20;
const DAY_MS = 86_400_000;

/**
 * Waits until everything that was answered is counted and every shard's floor is where its stream ends. The load must
 * be finished. The end of the streams alone would not do: an answered click need not be on one yet, a gateway may keep
 * it on its own disk for a while.
 */
export async function settled(cluster: Cluster, load: Load): Promise<void> {
  const deadline = performance.now() + SETTLE_BOUND_MS;
  let left = 'nothing could be read';
  for (;;) {
    const ended = cluster.endedUnasked();
    if (ended.length > 0) throw new Error(`${ended.join(', ')} ended by itself`);
    try {
      left = (await missing(cluster, load)) || (await uncounted(cluster));
      if (left === '') return;
    } catch (error) {
      // A server that is starting again.
      left = String(error);
    }
    if (performance.now() > deadline) throw new Error(`not everything is counted: ${left}`);
    await Bun.sleep(POLL_MS);
  }
}

/** How many clicks of this load are not stored yet, for people; empty where none is missing. */
async function missing(cluster: Cluster, load: Load): Promise<string> {
  const stored = await onDatabase(cluster, (client) => readCounts(client, load.adIds));
  let clicks = 0;
  for (const [key, counts] of load.expected) {
    clicks += Math.max(0, total([counts]) - total([stored.get(key) ?? NO_COUNTS]));
  }
  for (const [adId, { impressions }] of load.followed) {
    clicks += Math.max(0, impressions - ofAd(stored, adId).valid);
  }
  return clicks === 0 ? '' : `${clicks} answered clicks are missing`;
}

/** Shards with messages that are not counted yet, for people; empty where there are none. */
async function uncounted(cluster: Cluster): Promise<string> {
  const [ends, shards] = await Promise.all([onNats(cluster, readEnds), onDatabase(cluster, readShards)]);
  const floors = new Map(shards.map(({ shard, floor }) => [shard, floor]));
  return [...ends]
    .filter(([shard, end]) => floors.get(shard) !== end)
    .map(([shard, end]) => `shard ${shard} at ${floors.get(shard)} of ${end}`)
    .join(', ');
}

/** What was expected and what is there, as the report shows it. */
export interface Compared {
  readonly expected: number;
  readonly stored: number;
}

/** Compares everything that this load sent, and what all loads left on the streams. @throws where a click is too many or too few */
export async function compare(cluster: Cluster, load: Load): Promise<Compared> {
  const { stored, shards, sum } = await onDatabase(cluster, async (client) => ({
    stored: await readCounts(client, load.adIds),
    shards: await readShards(client),
    sum: await sumOfCounts(client),
  }));
  expectPlanned(load, stored);
  const billed = expectFollowed(load, stored);
  await expectConservation(cluster, shards, sum);
  await expectAnswers(cluster, load.adIds, stored);
  const planned = total([...stored].filter(([key]) => load.expected.has(key)).map(([, counts]) => counts));
  return { expected: total(load.expected.values()) + billed.expected, stored: planned + billed.stored };
}

/** Every disposition in every minute of every gRPC ad. */
function expectPlanned(load: Load, stored: ReadonlyMap<string, Counts>): void {
  const planned = new Set(load.plan.adIds);
  const found = new Map([...stored].filter(([key]) => planned.has(key.split(' ')[0] ?? '')));
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(load.expected));
}

/** An impression is billed once where one of its clicks was answered; what else is there are tries of the same people. */
function expectFollowed(load: Load, stored: ReadonlyMap<string, Counts>): Compared {
  let expected = 0;
  let billed = 0;
  for (const [adId, { impressions, answered, tried }] of load.followed) {
    const counts = ofAd(stored, adId);
    expect(counts, adId).toMatchObject({ valid: impressions, givt: 0, sivt: 0, defective: 0, test: 0 });
    const clicks = counts.valid + counts.repeat;
    expect(clicks, `clicks of ${adId}`).toBeGreaterThanOrEqual(answered);
    expect(clicks, `clicks of ${adId}`).toBeLessThanOrEqual(tried);
    expected += impressions;
    billed += counts.valid;
  }
  return { expected, stored: billed };
}

/** I12: records on the streams = counts + duplicates + dead letters, of all loads together. */
async function expectConservation(cluster: Cluster, shards: readonly ShardRow[], sum: number): Promise<void> {
  const published = await onNats(cluster, async (manager, connection) => {
    const records = new Map<number, number>();
    for (const { shard } of shards) records.set(shard, await countRecords(manager, connection, shard));
    return records;
  });
  expect(new Map(shards.map(({ shard, records }) => [shard, records]))).toEqual(published);
  const add = (value: (row: ShardRow) => number) => shards.reduce((all, row) => all + value(row), 0);
  expect(add(({ deadLetters }) => deadLetters)).toBe(0);
  expect(sum + add(({ duplicates }) => duplicates)).toBe(add(({ records }) => records));
}

/** The query service answers what is stored. */
async function expectAnswers(
  cluster: Cluster,
  adIds: readonly string[],
  stored: ReadonlyMap<string, Counts>,
): Promise<void> {
  const client = queryClient(cluster.queryAddress);
  const fromMs = (Math.floor(Date.now() / DAY_MS) - 3) * DAY_MS;
  const answered = new Map<string, number>();
  const deadline = performance.now() + SETTLE_BOUND_MS;
  try {
    for (let first = 0; first < adIds.length; ) {
      const answer = await client
        .queryAggregates({
          ad_ids: adIds.slice(first, first + ADS_A_QUERY),
          from_ms: fromMs,
          to_ms: fromMs + 5 * DAY_MS,
          granularity: 'MINUTE',
        })
        .catch(() => undefined);
      if (answer === undefined || answer.info?.partial !== false) {
        if (performance.now() > deadline) throw new Error('the query service gives no whole answer');
        await Bun.sleep(POLL_MS);
        continue;
      }
      for (const { ad_id, from_ms, metrics } of answer.rows)
        answered.set(`${ad_id} ${from_ms}`, metrics?.clicks ?? 0);
      first += ADS_A_QUERY;
    }
  } finally {
    client.close();
  }
  const valid = [...stored].map(([key, counts]) => [key, counts.valid]);
  expect(Object.fromEntries(answered)).toEqual(Object.fromEntries(valid));
}
