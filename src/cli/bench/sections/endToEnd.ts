/** Part b: clicks counted end to end, against what else could be done with the same servers. */
import { median } from 'simple-statistics';
import { connectNats } from '../../../adapters/nats/connection.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { uniformAds } from '../benchAds.ts';
import { type Measured, ratio } from '../figure.ts';
import { makeFloorStreams } from '../floors/floorStreams.ts';
import { publishRaw, RAW_PREFIX, RAW_WINDOW } from '../floors/rawPublish.ts';
import { StatementAClick } from '../floors/statementAClick.ts';
import { LINE_PREFIX, StraightLine } from '../floors/straightLine.ts';
import { STREAMS, WINDOW } from '../ingestStreams.ts';
import { type CountedRun, type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { withRedis } from '../redisClient.ts';
import type { TimedRun } from '../timedRun.ts';
import { CLICKS_A_REQUEST, type Workload } from '../workload.ts';

const ADS = 1_000;
/** Each takes some seconds. */
const CLICKS = { ledger: 600_000, raw: 40_000, line: 600_000, statement: 60_000 };
const WARM_SHARE = 0.2;
const GOALS = {
  raw: { sense: 'at least', floor: 2, goal: 4 },
  line: { sense: 'at least', floor: 0.7, goal: 1.2 },
  statement: { sense: 'at least', floor: 4, goal: 8 },
  absolute: { sense: 'at least', floor: 75_000, goal: 200_000 },
} as const;

export const endToEnd: Section = {
  letter: 'b',
  title: 'clicks counted end to end',
  how:
    `Requests of ${CLICKS_A_REQUEST} clicks, encoded beforehand, over ${STREAMS} ingest streams of one connection with ${WINDOW} requests each in ` +
    'flight; the client reads of each answer only that every click was ACCEPTED. The clock runs from the first request until ' +
    'every click is durable, deduplicated and stored in PostgreSQL, and what is stored is compared with what was sent: one in ten ' +
    `is another click on an impression, one in fifty is sent twice. ${ADS} ads, each as often. FLUSH_INTERVAL is 1s, ` +
    `so up to a second of it is waiting. Raw acked publish: the nats client, one click a message, the same record bytes, window ${RAW_WINDOW}, ` +
    '16 streams with the same settings. Straight line: one process publishes messages of 1,000 clicks with acknowledgements, reads ' +
    'and decodes them, asks Redis once a message (HSETNX), counts in one Map and flushes by unnest every second. Statement a click: one ' +
    'PostgreSQL statement dedups and upserts, over 16 connections.',
  leavesOut:
    'A network between the machines, replicas of the streams, TLS, and what an ad server needs to make its requests. ' +
    'Disks: fsync is as fast as this machine makes it.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withLiveLedger(bench, { ads: ADS }, async (ledger) => {
    const nats = await connectNats(ledger.installation.environment['NATS_URL'] ?? '', 'bench');
    const statements = await StatementAClick.open(ledger.installation);
    try {
      return await withRedis(ledger.installation.environment, async (redis) => {
        const manager = await nats.jetstreamManager();
        const client = nats.jetstream();
        for (const prefix of [RAW_PREFIX, LINE_PREFIX]) await makeFloorStreams(manager, prefix);
        const line = await StraightLine.open({
          installation: ledger.installation,
          client,
          manager,
          redis,
          pool: ledger.pool,
        });
        const contestants = contestantsOf(bench, ledger, {
          raw: (workload) => publishRaw(ledger.installation, client, workload),
          line: (workload) => line.count(workload),
          statement: (workload) => statements.count(workload),
        });
        bench.progress('warming up');
        for (const contestant of Object.values(contestants)) await contestant(WARM_SHARE);
        const results = await inTurn(bench, {
          ledger: () => contestants.ledger(1),
          raw: () => contestants.raw(1),
          line: () => contestants.line(1),
          statement: () => contestants.statement(1),
        });
        line.close();
        return figuresOf(bench, results);
      });
    } finally {
      await Promise.allSettled([nats.close(), statements.close()]);
    }
  });
}

type Floor = (workload: Workload) => Promise<TimedRun>;

function contestantsOf(
  bench: Bench,
  ledger: LiveLedger,
  floors: { readonly raw: Floor; readonly line: Floor; readonly statement: Floor },
) {
  const nextAd = uniformAds(ADS, seededRandom(1));
  const workload = (clicks: number, share: number) =>
    ledger.workload(scaled(bench, clicks * share, CLICKS_A_REQUEST), nextAd);
  return {
    ledger: (share: number) => ledger.count(workload(CLICKS.ledger, share)),
    raw: (share: number) => floors.raw(workload(CLICKS.raw, share)),
    line: (share: number) => floors.line(workload(CLICKS.line, share)),
    statement: (share: number) => floors.statement(workload(CLICKS.statement, share)),
  };
}

interface Results extends Record<'raw' | 'line' | 'statement', readonly TimedRun[]> {
  readonly ledger: readonly CountedRun[];
}

const NAMES = {
  ledger: 'counted end to end',
  raw: 'raw acked publish',
  line: 'straight line',
  statement: 'PostgreSQL statement a click',
} as const;

function figuresOf(bench: Bench, results: Results): Measured {
  const kinds = Object.keys(NAMES) as (keyof typeof NAMES)[];
  const rates = (kind: keyof typeof NAMES) => results[kind].map(({ perSecond }) => perSecond);
  bench.peakPerSecond = median(rates('ledger'));
  const against = (kind: 'raw' | 'line' | 'statement') =>
    ratio(`${NAMES.ledger} / ${NAMES[kind]}`, rates('ledger'), rates(kind), GOALS[kind]);
  return {
    figures: [
      { name: NAMES.ledger, unit: '/s', values: rates('ledger'), goal: GOALS.absolute },
      {
        name: 'clicks a message',
        unit: 'clicks',
        values: results.ledger.map(({ clicksAMessage }) => clicksAMessage),
      },
      ...(['raw', 'line', 'statement'] as const).map(
        (kind) => ({ name: NAMES[kind], unit: '/s', values: rates(kind) }) as const,
      ),
      against('raw'),
      against('line'),
      against('statement'),
    ],
    processor: kinds.map((kind) => ({
      name: NAMES[kind],
      microseconds: results[kind].map(({ processor }) => processor),
    })),
  };
}
