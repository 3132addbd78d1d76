/** Part f: how long a dashboard waits for an answer while clicks flow. */
import { median } from 'simple-statistics';
import { type QueryClient, queryClient } from '../../../adapters/grpc/clients.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { endpoints } from '../../endpoints.ts';
import { formatCount } from '../../format.ts';
import { type AskedQuestion, askSteadily, figuresOf, type Waits } from '../askedQuestions.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { adId, uniformAds } from '../benchAds.ts';
import type { Measured } from '../figure.ts';
import { hoursOf, largestOf, minutesOf } from '../floors/bareStatements.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { lastDayOf, writePast } from '../pastCounts.ts';
import { ProcessorMeter } from '../processorTime.ts';
import { CLICKS_A_REQUEST, encodeBatches } from '../workload.ts';

const ADS = 1_000;
const DAY_ADS = 1_000_000;
const TOP = 100;
const SECONDS = 10;
/** Of each of the two small questions, and of those for the largest. */
const QUESTIONS_PER_SECOND = 5;
/** Of those whose answers have tens of thousands of rows. */
const WIDE_QUESTIONS_PER_SECOND = 2;
const CALIBRATION_RUNS = 3;
const CALIBRATION_CLICKS = 300_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONTH_MS = 30 * DAY_MS;
const MINUTE_MS = 60_000;
/** Of production: an answer is read again where a flush came between, so seldom flushes are part of the figure. */
const FLUSH_INTERVAL = '10s';
const GOAL = { sense: 'at most', floor: 100, goal: 25 } as const;
const TOP_GOAL = { sense: 'at most', floor: 100, goal: 100 } as const;

export const queries: Section = {
  letter: 'f',
  title: 'queries at half of the peak',
  how:
    'Clicks flow at half of the rate of part b (of a few runs of its kind, where b does not run), paced by the clock. Meanwhile questions are asked over gRPC, one of a kind after the other, and ' +
    `the latency of each counts from the moment it was due. Side by side, ${QUESTIONS_PER_SECOND} times a second each: one ad, 24 h of minutes (1,440 rows), and ${ADS} ads, one hour ` +
    '(by HOUR, from 60,000 windows). Then each alone: one ad, 30 days of minutes (43,200 rows), and 1,000 ads by HOUR over 24 h (25,000 rows, from 23,000 hours and the minutes at both ends), ' +
    `${WIDE_QUESTIONS_PER_SECOND} times a second; the ${TOP} largest of ${formatCount(DAY_ADS)} ads of a UTC day, by clicks and by gross_clicks, ${QUESTIONS_PER_SECOND} times a second. ` +
    'After each answer its floor: the same rows by a bare statement, on a connection that is open. ' +
    'Nothing comes from a memory of settled rows, because nothing is settled: every answer is read from PostgreSQL, whose pages are in memory. Ranges end with the minute that is being counted, so the owners are asked for ' +
    'what is not flushed; only TopN answers as of the last flush. The past windows and their rollups were written by SQL; few of the million ads have most of the clicks. ' +
    'FLUSH_INTERVAL is the 10s of production. An owner that does not answer within LIVE_TIMEOUT leaves its unflushed counts out, which makes the answer a partial one.',
  leavesOut: 'A network; many dashboards at once; ranges that no longer fit into the memory of PostgreSQL.',
  measure,
};

async function measure(bench: Bench): Promise<Measured> {
  const nextAd = uniformAds(ADS, seededRandom(1));
  const peakPerSecond =
    bench.peakPerSecond ??
    (await withLiveLedger(bench, { ads: ADS }, (ledger) => calibrate(bench, ledger, nextAd)));
  return withLiveLedger(bench, { ads: ADS, settings: { FLUSH_INTERVAL } }, async (ledger) => {
    const { installation, pool } = ledger;
    await installation.start('query');
    const endMs = installation.nextMinuteMs();
    bench.progress('writing a month of windows');
    await writePast(pool, { ads: ADS, dayAds: scaled(bench, DAY_ADS), endMs });
    const client = queryClient(endpoints(installation.environment).queryAddress);
    try {
      const during = (asked: (toMs: number) => readonly AskedQuestion[]) => () =>
        runOnce(bench, ledger, peakPerSecond / 2, nextAd, asked);
      const top = largest(client, ledger, lastDayOf(endMs));
      const contestants = {
        small: during((toMs) => [dayOfMinutes(client, toMs), hourOfAds(client, toMs)]),
        month: during((toMs) => [monthOfMinutes(client, ledger, toMs)]),
        hours: during((toMs) => [dayOfHours(client, ledger, toMs)]),
        clicks: during(() => [top('clicks')]),
        gross: during(() => [top('gross_clicks')]),
      };
      for (const [name, round] of Object.entries(contestants)) {
        bench.progress(`warming up: ${name}`);
        await round();
      }
      const { small, month, hours, clicks, gross } = await inTurn(bench, contestants);
      return {
        figures: [
          { name: 'clicks meanwhile', unit: '/s', values: small.map((run) => run.clicksPerSecond) },
          ...figuresOf('one ad, 24 h of minutes', waitsOf(small, 0), GOAL),
          ...figuresOf('1,000 ads, one hour', waitsOf(small, 1), GOAL),
          ...figuresOf('one ad, 30 days of minutes', waitsOf(month, 0)),
          ...figuresOf('1,000 ads by hour, 24 h', waitsOf(hours, 0)),
          ...figuresOf('top 100 of a million ads by clicks', waitsOf(clicks, 0), TOP_GOAL),
          ...figuresOf('top 100 of a million ads by gross_clicks', waitsOf(gross, 0), TOP_GOAL),
        ],
        processor: [
          { name: 'clicks and small queries', microseconds: small.map((run) => run.processor) },
          { name: 'clicks and a month of minutes', microseconds: month.map((run) => run.processor) },
          { name: 'clicks and 1,000 ads by hour', microseconds: hours.map((run) => run.processor) },
          { name: 'clicks and top by clicks', microseconds: clicks.map((run) => run.processor) },
          { name: 'clicks and top by gross_clicks', microseconds: gross.map((run) => run.processor) },
        ],
      };
    } finally {
      client.close();
    }
  });
}

const ALL_ADS = Array.from({ length: ADS }, (_, number) => adId(number));

function dayOfMinutes(client: QueryClient, toMs: number): AskedQuestion {
  const range = { from_ms: toMs - DAY_MS, to_ms: toMs };
  const ask = () => client.queryAggregates({ ad_ids: [adId(0)], ...range, granularity: 'MINUTE' });
  return { perSecond: QUESTIONS_PER_SECOND, ask };
}

function hourOfAds(client: QueryClient, toMs: number): AskedQuestion {
  const range = { from_ms: toMs - HOUR_MS, to_ms: toMs };
  const ask = () => client.queryAggregates({ ad_ids: ALL_ADS, ...range, granularity: 'HOUR' });
  return { perSecond: QUESTIONS_PER_SECOND, ask };
}

function monthOfMinutes(client: QueryClient, { pool }: LiveLedger, toMs: number): AskedQuestion {
  const range = { from_ms: toMs - MONTH_MS, to_ms: toMs };
  return {
    perSecond: WIDE_QUESTIONS_PER_SECOND,
    ask: () => client.queryAggregates({ ad_ids: [adId(0)], ...range, granularity: 'MINUTE' }),
    floor: () => minutesOf(pool, adId(0), range.from_ms, toMs),
  };
}

function dayOfHours(client: QueryClient, { pool }: LiveLedger, toMs: number): AskedQuestion {
  const range = { from_ms: toMs - DAY_MS, to_ms: toMs };
  return {
    perSecond: WIDE_QUESTIONS_PER_SECOND,
    ask: () => client.queryAggregates({ ad_ids: ALL_ADS, ...range, granularity: 'HOUR' }),
    floor: () => hoursOf(pool, ALL_ADS, range.from_ms, toMs),
  };
}

function largest(client: QueryClient, { pool }: LiveLedger, dayMs: number) {
  const range = { from_ms: dayMs, to_ms: dayMs + DAY_MS };
  return (metric: 'clicks' | 'gross_clicks'): AskedQuestion => ({
    perSecond: QUESTIONS_PER_SECOND,
    ask: () => client.topN({ dimension: 'ad_id', metric, n: TOP, ...range }),
    // Sorting a million rows five times a second would leave the other one nothing of the machine.
    ...(metric === 'clicks' && { floor: () => largestOf(pool, 'valid', dayMs, TOP) }),
  });
}

interface Run {
  /** By question. */
  readonly waits: readonly Waits[];
  readonly clicksPerSecond: number;
  readonly processor: Record<string, number>;
}

function waitsOf(runs: readonly Run[], place: number): Waits[] {
  return runs.flatMap(({ waits }) => waits[place] ?? []);
}

async function calibrate(bench: Bench, ledger: LiveLedger, nextAd: () => string): Promise<number> {
  const rates: number[] = [];
  for (let run = 0; run < CALIBRATION_RUNS; run += 1) {
    bench.progress('looking for the peak');
    const clicks = scaled(bench, CALIBRATION_CLICKS, CLICKS_A_REQUEST);
    rates.push((await ledger.count(ledger.workload(clicks, nextAd))).perSecond);
  }
  return median(rates);
}

/** @param asked the questions that are asked side by side, by where the minute ends in which these clicks are counted */
async function runOnce(
  bench: Bench,
  ledger: LiveLedger,
  clicksPerSecond: number,
  nextAd: () => string,
  asked: (toMs: number) => readonly AskedQuestion[],
): Promise<Run> {
  const seconds = scaled(bench, SECONDS);
  const batchesPerSecond = clicksPerSecond / CLICKS_A_REQUEST;
  const workload = ledger.workload(Math.ceil(batchesPerSecond * seconds) * CLICKS_A_REQUEST, nextAd);
  const batches = encodeBatches(workload);
  Bun.gc(true);
  const meter = await ProcessorMeter.begin(await ledger.installation.processes());
  const startMs = performance.now();
  const sending = paced(batches.length, batchesPerSecond, (number) => {
    ledger.streams.push(batches.slice(number, number + 1));
  });
  const asking = asked(workload.minuteMs + MINUTE_MS).map((question) => askSteadily(seconds, question));
  const [waits] = await Promise.all([Promise.all(asking), sending]);
  await ledger.streams.drained();
  const took = (performance.now() - startMs) / 1_000;
  const processor = await meter.perClick(workload.clicks.length);
  return { waits, clicksPerSecond: workload.clicks.length / took, processor };
}

/** Does something `count` times at a steady rate. */
async function paced(count: number, perSecond: number, work: (number: number) => void): Promise<void> {
  const startMs = performance.now();
  for (let number = 0; number < count; number += 1) {
    const waitMs = startMs + (number * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    work(number);
  }
}
