/** Part f: how long a dashboard waits for an answer while clicks flow. */
import { median, quantile } from 'simple-statistics';
import { type QueryClient, queryClient } from '../../../adapters/grpc/clients.ts';
import { DayPartitions } from '../../../adapters/postgres/dayPartitions.ts';
import type { QueryAggregatesRequest } from '../../../contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { endpoints } from '../../endpoints.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { adId, uniformAds } from '../benchAds.ts';
import type { Figure, Measured } from '../figure.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { ProcessorMeter } from '../processorTime.ts';
import { CLICKS_A_REQUEST, encodeBatches } from '../workload.ts';

const ADS = 1_000;
const SECONDS = 10;
/** Of each of the two questions. */
const QUESTIONS_PER_SECOND = 5;
const CALIBRATION_RUNS = 3;
const CALIBRATION_CLICKS = 300_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MINUTE_MS = 60_000;
const PERCENT = 100;
/** Of production: an answer is read again where a flush came between, so seldom flushes are part of the figure. */
const FLUSH_INTERVAL = '10s';
const GOAL = { sense: 'at most', floor: 100, goal: 25 } as const;

export const queries: Section = {
  letter: 'f',
  title: 'queries at half of the peak',
  how:
    'Clicks flow at half of the rate of part b (of a few runs of its kind, where b does not run), paced by the clock. Meanwhile each of two questions is asked ' +
    `${QUESTIONS_PER_SECOND} times a second, over gRPC, one after the other, and its latency counts from the moment it was due: one ad, 24 h of minutes (1,440 rows), and ${ADS} ads, one hour ` +
    '(by HOUR, from 60,000 windows). Both contain the minute that is being counted, so the owners are asked for what is not flushed. The past windows were written by SQL. ' +
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
    const { installation } = ledger;
    await installation.start('query');
    const fromMs = installation.nextMinuteMs() - DAY_MS;
    bench.progress('writing a day of windows');
    await writePast(ledger, fromMs);
    const client = queryClient(endpoints(installation.environment).queryAddress);
    try {
      const round = () => runOnce(bench, ledger, client, peakPerSecond / 2, nextAd);
      bench.progress('warming up');
      await round();
      const { asked } = await inTurn(bench, { asked: round });
      return {
        figures: [
          { name: 'clicks meanwhile', unit: '/s', values: asked.map((run) => run.clicksPerSecond) },
          ...figuresOf(
            'one ad, 24 h of minutes',
            asked.map((run) => run.oneAd),
          ),
          ...figuresOf(
            '1,000 ads, one hour',
            asked.map((run) => run.manyAds),
          ),
        ],
        processor: [{ name: 'clicks and queries', microseconds: asked.map((run) => run.processor) }],
      };
    } finally {
      client.close();
    }
  });
}

function figuresOf(name: string, rounds: readonly Answers[]): Figure[] {
  const at = (share: number) => rounds.map(({ latencies }) => quantile([...latencies], share));
  return [
    { name: `${name}, p50`, unit: 'ms', values: at(0.5) },
    { name: `${name}, p99`, unit: 'ms', values: at(0.99), goal: GOAL },
    {
      name: `${name}, partial answers`,
      unit: '%',
      values: rounds.map(({ latencies, partial }) => (PERCENT * partial) / latencies.length),
    },
  ];
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

/** Windows of the first ad for a day, of all ads for its last hour. */
async function writePast({ pool }: LiveLedger, fromMs: number): Promise<void> {
  await new DayPartitions(pool).ensure([fromMs, fromMs + DAY_MS]);
  await pool.query(
    `insert into ad_minute (ad_id, minute, valid, repeat, givt, sivt, defective, test, fingerprint_high, fingerprint_low)
     select ad_id, minute, 5, 1, 0, 0, 0, 0, 1, 1
     from ad, generate_series(to_timestamp($1::float8 / 1000), to_timestamp($2::float8 / 1000), interval '1 minute') as minute
     where ad_id = $3 or minute > to_timestamp($4::float8 / 1000)
     on conflict do nothing`,
    [fromMs, fromMs + DAY_MS - MINUTE_MS, adId(0), fromMs + DAY_MS - HOUR_MS],
  );
  // As autovacuum does in the course of such a day.
  await pool.query('analyze ad_minute');
}

async function runOnce(
  bench: Bench,
  ledger: LiveLedger,
  client: QueryClient,
  clicksPerSecond: number,
  nextAd: () => string,
) {
  const seconds = scaled(bench, SECONDS);
  const batchesPerSecond = clicksPerSecond / CLICKS_A_REQUEST;
  const workload = ledger.workload(Math.ceil(batchesPerSecond * seconds) * CLICKS_A_REQUEST, nextAd);
  const batches = encodeBatches(workload);
  // The hour and the day that end with the minute in which these clicks are counted.
  const toMs = workload.minuteMs + MINUTE_MS;
  Bun.gc(true);
  const meter = await ProcessorMeter.begin(await ledger.installation.processes());
  const startMs = performance.now();
  const sending = paced(batches.length, batchesPerSecond, (number) => {
    ledger.streams.push(batches.slice(number, number + 1));
  });
  const [oneAd, manyAds] = await Promise.all([
    ask(client, seconds, { ad_ids: [adId(0)], from_ms: toMs - DAY_MS, to_ms: toMs, granularity: 'MINUTE' }),
    ask(client, seconds, {
      ad_ids: Array.from({ length: ADS }, (_, number) => adId(number)),
      from_ms: toMs - HOUR_MS,
      to_ms: toMs,
      granularity: 'HOUR',
    }),
    sending,
  ]);
  await ledger.streams.drained();
  const took = (performance.now() - startMs) / 1_000;
  const processor = await meter.perClick(workload.clicks.length);
  return { oneAd, manyAds, clicksPerSecond: workload.clicks.length / took, processor };
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

interface Answers {
  /** Milliseconds, from when its question was due. */
  readonly latencies: readonly number[];
  readonly partial: number;
}

/**
 * One question after the other, each with a moment at which it is due: one that waits for the answer before it waits in
 * its own latency.
 */
async function ask(client: QueryClient, seconds: number, request: QueryAggregatesRequest): Promise<Answers> {
  const latencies: number[] = [];
  let partial = 0;
  const startMs = performance.now();
  for (let number = 0; number < seconds * QUESTIONS_PER_SECOND; number += 1) {
    const dueMs = startMs + (number * 1_000) / QUESTIONS_PER_SECOND;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    const { info } = await client.queryAggregates(request);
    if (info?.partial) partial += 1;
    latencies.push(performance.now() - dueMs);
    if (performance.now() - startMs > seconds * 1_000) break;
  }
  return { latencies, partial };
}
