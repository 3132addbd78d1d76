/** Part c: whether the cost of a click grows with the number of ads. */

import { heapStats } from 'bun:jsc';
import { max } from 'simple-statistics';
import { ShardCounts } from '../../../actors/shardCounts.ts';
import { NO_DIMENSIONS } from '../../../domain/dimensions.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { formatCount } from '../../format.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { adId, uniformAds, ZIPF_EXPONENT, zipfAds } from '../benchAds.ts';
import { type Figure, type Measured, ratio, type Unit } from '../figure.ts';
import { FlushLog, logStatements } from '../flushLog.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { forgetPeak, peakMemory } from '../processMemory.ts';
import type { TimedRun } from '../timedRun.ts';
import { CLICKS_A_REQUEST, makeWorkload, recordOf } from '../workload.ts';

const ADS = [1_000, 100_000, 1_000_000, 10_000_000];
const CLICKS = 300_000;
/** For the memory that one takes. */
const ACTIVE_ADS = 200_000;
const GOAL = { sense: 'at least', floor: 0.6, goal: 0.8 } as const;

export const manyAds: Section = {
  letter: 'c',
  title: 'many ads',
  how:
    `As in part b, ${formatCount(CLICKS)} clicks a run, on the first thousand, hundred thousand, million and on all of ten million ads of one catalog: each as often ` +
    `(uniform), or by Zipf with exponent ${ZIPF_EXPONENT}. Memory: the most that the actors process was seen to have; an active ad: an ad actor with one open ` +
    "window, by the heap of a process that holds many. Flush: how long PostgreSQL took for the actors' flushes, by its own log: the longest, and all of a million clicks.",
  leavesOut:
    'Registering the ads (they go straight into PostgreSQL). The gateway remembers 200,000 ads: with more, clicks of seldom ones pay for a look ' +
    'into PostgreSQL, which is in the rate. FLUSH_INTERVAL is 1s; with the 10s of production a seldom ad costs the same, an often clicked one less.',
  measure,
};

interface Run extends TimedRun {
  readonly peakBytes: number;
  readonly flushes: readonly number[];
}

function measure(bench: Bench): Promise<Measured> {
  const sizes = ADS.map((ads) => scaled(bench, ads, 10));
  bench.progress(`registering ${formatCount(sizes.at(-1) ?? 0)} ads`);
  return withLiveLedger(bench, { ads: sizes.at(-1) ?? 0 }, async (ledger) => {
    await logStatements(ledger.pool);
    await ledger.pool.query('checkpoint');
    const random = seededRandom(1);
    const mixtures = sizes.flatMap((ads) => [
      [`${formatCount(ads)} ads, uniform`, uniformAds(ads, random)] as const,
      [`${formatCount(ads)} ads, Zipf`, zipfAds(ads, random)] as const,
    ]);
    const run = ([name, nextAd]: (typeof mixtures)[number]) =>
      [name, () => runOnce(bench, ledger, nextAd)] as const;
    bench.progress('warming up');
    await runOnce(bench, ledger, uniformAds(sizes[0] ?? 1, random));
    const results = await inTurn(bench, Object.fromEntries(mixtures.map(run)));
    return figuresOf(bench, sizes, results);
  });
}

async function runOnce(bench: Bench, ledger: LiveLedger, nextAd: () => string): Promise<Run> {
  const { installation } = ledger;
  const log = await FlushLog.begin(installation.path('logs', 'postgres.log'));
  const pid = (await installation.processes()).get('actors') ?? 0;
  await forgetPeak(pid);
  const counted = await ledger.count(ledger.workload(scaled(bench, CLICKS, CLICKS_A_REQUEST), nextAd));
  return { ...counted, peakBytes: await peakMemory(pid), flushes: await log.seconds() };
}

function figuresOf(bench: Bench, sizes: readonly number[], results: Record<string, Run[]>): Measured {
  const clicks = scaled(bench, CLICKS, CLICKS_A_REQUEST);
  const figures = Object.entries(results).flatMap(([name, runs]): Figure[] => {
    const figure = (what: string, unit: Unit, of: (run: Run) => number) => ({
      name: `${name}${what}`,
      unit,
      values: runs.map(of),
    });
    return [
      figure('', '/s', (run) => run.perSecond),
      figure(', memory of actors', 'MB', (run) => run.peakBytes / 1e6),
      figure(', longest flush', 's', ({ flushes }) => (flushes.length === 0 ? 0 : max([...flushes]))),
      figure(
        ', flushes of a million clicks',
        's',
        ({ flushes }) => (flushes.reduce((sum, seconds) => sum + seconds, 0) * 1e6) / clicks,
      ),
    ];
  });
  const rates = (ads: number | undefined, mixture: string) =>
    (results[`${formatCount(ads ?? 0)} ads, ${mixture}`] ?? []).map(({ perSecond }) => perSecond);
  const between = (mixture: string) => [rates(sizes.at(-1), mixture), rates(sizes[0], mixture)] as const;
  return {
    figures: [
      ...figures,
      { name: 'memory of an active ad', unit: 'bytes', values: activeAdBytes(bench) },
      ratio('most ads / fewest ads, uniform', ...between('uniform')),
      ratio('most ads / fewest ads, Zipf', ...between('Zipf'), GOAL),
    ],
    processor: Object.entries(results).map(([name, runs]) => ({
      name,
      microseconds: runs.map(({ processor }) => processor),
    })),
  };
}

/** What the heap grows by for an ad actor with one open window, a value a round. */
function activeAdBytes(bench: Bench): number[] {
  const ads = scaled(bench, ACTIVE_ADS, 100);
  return Array.from({ length: bench.rounds }, () => {
    const counts = new ShardCounts();
    let number = 0;
    const { clicks, minuteMs } = makeWorkload(1, 0, () => adId(number));
    const [click] = clicks;
    if (click === undefined) return Number.NaN;
    const facts = recordOf(click, minuteMs);
    const before = heapBytes();
    for (; number < ads; number += 1)
      counts.count(
        {
          clicks: [
            {
              facts: { ...facts, adId: adId(number) },
              record: { dimensions: NO_DIMENSIONS, person: undefined },
              judgement: { kind: 'billable' },
              minute: minuteMs,
            },
          ],
          deadLetters: [],
        },
        'V',
      );
    const bytes = heapBytes() - before;
    // Its counts are needed until here.
    counts.beginFlush();
    return bytes / ads;
  });
}

function heapBytes(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}
