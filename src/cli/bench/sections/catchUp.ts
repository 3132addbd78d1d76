/** Part g: how fast what was missed is counted, and how soon somebody counts again when a node is killed. */
import { CliError } from '../../cliError.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { formatCount } from '../../format.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { uniformAds } from '../benchAds.ts';
import { type Measured, ratio } from '../figure.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { type TimedRun, timedRun } from '../timedRun.ts';
import { CLICKS_A_REQUEST, encodeBatches } from '../workload.ts';

const ADS = 1_000;
const BACKLOG = 2_000_000;
/** The backlog is made in portions of so many: their bytes need not all be in memory. */
const PORTION = 250_000;
const LIVE_CLICKS = 300_000;
/** Of the take-over: enough of them that every shard gets some at once. */
const TRICKLE_CLICKS = 200;
const TRICKLE_MS = 50;
const POLL_MS = 10;
const GOAL = { sense: 'at least', floor: 2, goal: 3 } as const;

export const catchUp: Section = {
  letter: 'g',
  title: 'catching up and taking over',
  how:
    `Catch-up: ${formatCount(BACKLOG)} clicks stand on the streams as the gateway left them, the actors start from nothing (empty counts, empty memory), and the clock ` +
    'runs from when they are ready until all is stored. Between the catch-ups a run as in part b, whose clicks the next catch-up counts too. ' +
    'Take-over: two actors processes share the shards while clicks trickle into all of them; one is killed by SIGKILL, and the clock stops when each of its shards has ' +
    'stored counts again under another owner. FLUSH_INTERVAL is 1s, LEASE 3s, HEARTBEAT 1s.',
  leavesOut: 'The loss of a server or of a machine with a server on it.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withLiveLedger(bench, { ads: ADS }, async (ledger) => {
    const { installation } = ledger;
    const nextAd = uniformAds(ADS, seededRandom(1));
    await installation.kill('actors');
    const backlog = await fillBacklog(bench, ledger, nextAd);
    let records = backlog;
    const results = await inTurn(bench, {
      'catch-up': () => catchUpOnce(ledger, records),
      live: async () => {
        const workload = ledger.workload(scaled(bench, LIVE_CLICKS, CLICKS_A_REQUEST), nextAd);
        const run = await ledger.count(workload);
        records += workload.clicks.length;
        return run;
      },
    });
    const takeOver = await takeOvers(bench, ledger, nextAd);
    const catchUps = results['catch-up'].map(({ perSecond }) => perSecond);
    const live = results.live.map(({ perSecond }) => perSecond);
    return {
      figures: [
        { name: `catch-up on ${formatCount(backlog)} clicks and more`, unit: '/s', values: catchUps },
        { name: 'live', unit: '/s', values: live },
        ratio('catch-up / live', catchUps, live, GOAL),
        { name: 'take-over after SIGKILL', unit: 's', values: takeOver },
      ],
      processor: Object.entries(results).map(([name, runs]) => ({
        name,
        microseconds: runs.map(({ processor }) => processor),
      })),
    };
  });
}

/** @returns how many clicks are on the streams */
async function fillBacklog(bench: Bench, ledger: LiveLedger, nextAd: () => string): Promise<number> {
  const backlog = scaled(bench, BACKLOG, CLICKS_A_REQUEST);
  for (let from = 0; from < backlog; from += PORTION) {
    bench.stop.throwIfAborted();
    bench.progress(`sending the backlog: ${formatCount(from)} of ${formatCount(backlog)} clicks`);
    ledger.streams.push(encodeBatches(ledger.workload(Math.min(PORTION, backlog - from), nextAd)));
    await ledger.streams.drained();
  }
  return backlog;
}

/** Counts all that is on the streams as if none of it had been counted. */
export async function catchUpOnce(ledger: LiveLedger, records: number): Promise<TimedRun> {
  const { installation } = ledger;
  await installation.kill('actors');
  await ledger.forget();
  await installation.start('actors');
  const run = await timedRun(installation, records, () => ledger.stored(records));
  const sums = await ledger.sums();
  if (sums.records !== records)
    throw new CliError(`caught up with ${sums.records} records, right is ${records}`);
  return run;
}

/** @returns seconds from the kill until every shard of the killed node counts again, a value a round */
async function takeOvers(bench: Bench, ledger: LiveLedger, nextAd: () => string): Promise<number[]> {
  const { installation } = ledger;
  const trickle = setInterval(() => {
    ledger.streams.push(encodeBatches(ledger.workload(TRICKLE_CLICKS, nextAd)));
  }, TRICKLE_MS);
  try {
    const { seconds } = await inTurn(bench, {
      seconds: async () => {
        await installation.start('actors', 'actors-2');
        await untilShared(ledger);
        return takeOver(ledger, 'actors-2');
      },
    });
    return seconds;
  } finally {
    clearInterval(trickle);
    await ledger.streams.drained();
  }
}

interface ShardRow {
  readonly shard: number;
  readonly owner: string | null;
  readonly floor: number;
}

async function shardRows({ pool }: LiveLedger): Promise<ShardRow[]> {
  const { rows } = await pool.query<ShardRow>(
    'select shard, owner, floor::float8 as floor from shard order by shard',
  );
  return rows;
}

async function untilShared(ledger: LiveLedger): Promise<void> {
  for (;;) {
    const rows = await shardRows(ledger);
    const own = rows.filter(({ owner }) => owner === 'actors-2').length;
    if (own >= Math.floor(rows.length / 2)) return;
    await Bun.sleep(POLL_MS);
  }
}

async function takeOver(ledger: LiveLedger, name: string): Promise<number> {
  const startMs = performance.now();
  await ledger.installation.kill(name);
  const lost = new Map(
    (await shardRows(ledger)).filter(({ owner }) => owner === name).map(({ shard, floor }) => [shard, floor]),
  );
  for (;;) {
    const rows = await shardRows(ledger);
    const waiting = rows.filter(({ shard, owner, floor }) => {
      const before = lost.get(shard);
      return before !== undefined && (owner === name || floor <= before);
    });
    if (waiting.length === 0) return (performance.now() - startMs) / 1_000;
    await Bun.sleep(POLL_MS);
  }
}
