/** Part d: one ad that gets nearly all clicks, against clicks that are spread evenly. */
import { connectNats } from '../../../adapters/nats/connection.ts';
import { RoutingLog } from '../../../adapters/nats/routingLog.ts';
import { CliError } from '../../cliError.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { adId, uniformAds } from '../benchAds.ts';
import { type Measured, ratio } from '../figure.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import type { TimedRun } from '../timedRun.ts';
import { CLICKS_A_REQUEST } from '../workload.ts';

const ADS = 1_000;
const CLICKS = 400_000;
const HOT_SHARE = 0.9;
const FAN_OUT = 16;
const FANNED_OUT = adId(0);
const GOAL = { sense: 'at least', floor: 0.8, goal: 0.95 } as const;

export const hotAd: Section = {
  letter: 'd',
  title: 'a hot ad',
  how:
    `As in part b: ${ADS} ads each as often, or ${HOT_SHARE * 100} % of all clicks on one of them. The hot ad's fan-out of ${FAN_OUT} shards stands in the routing table ` +
    'from the beginning, as it does a minute after the ad became hot.',
  leavesOut:
    'The first minute of a hot ad, in which its impressions are still routed to one shard; and finding hot ads, which the gateway does all the time.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withLiveLedger(bench, { ads: ADS, prepare: fanOut }, async (ledger) => {
    const random = seededRandom(1);
    const uniform = uniformAds(ADS, random);
    const hot = () => (random() < HOT_SHARE ? FANNED_OUT : uniform());
    const run = (nextAd: () => string) => () =>
      ledger.count(ledger.workload(scaled(bench, CLICKS, CLICKS_A_REQUEST), nextAd));
    bench.progress('warming up');
    await run(uniform)();
    const results = await inTurn(bench, {
      uniform: run(uniform),
      hot: run(hot),
    });
    const rates = (runs: readonly TimedRun[]) => runs.map(({ perSecond }) => perSecond);
    const even = rates(results.uniform);
    return {
      figures: [
        ...Object.entries(results).map(([name, runs]) => ({
          name,
          unit: '/s' as const,
          values: rates(runs),
        })),
        ratio('hot / uniform', rates(results.hot), even, GOAL),
      ],
      processor: Object.entries(results).map(([name, runs]) => ({
        name,
        microseconds: runs.map(({ processor }) => processor),
      })),
    };
  });
}

/** From the first moment on: nothing has been routed yet. */
async function fanOut({ installation }: LiveLedger): Promise<void> {
  const nats = await connectNats(installation.environment['NATS_URL'] ?? '', 'bench');
  try {
    const routing = new RoutingLog(nats.jetstream(), await nats.jetstreamManager());
    await routing.read();
    const entry = { kind: 'fan_out', adId: FANNED_OUT, fanOut: FAN_OUT, fromMs: 0 } as const;
    if (!(await routing.append(entry))) throw new CliError('something else wrote to the routing table');
  } finally {
    await nats.close();
  }
}
