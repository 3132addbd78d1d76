/** Part h: how long people wait for their redirect at a fixed rate, with everything running. */
import { quantile } from 'simple-statistics';
import { readSettings } from '../../../adapters/environment/settings.ts';
import { CliError } from '../../cliError.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { uniformAds } from '../benchAds.ts';
import type { Measured } from '../figure.ts';
import { type LiveLedger, withLiveLedger } from '../liveLedger.ts';
import { OpenLoopSender } from '../openLoopSender.ts';
import { ProcessorMeter } from '../processorTime.ts';
import { signedPaths } from '../signedPaths.ts';

const ADS = 1_000;
const PER_SECOND = 10_000;
const SECONDS = 6;
const CONNECTIONS = 256;
/** A run that answers fewer of its requests in time did not have the rate. */
const REACHED_SHARE = 0.98;
const GOAL = { sense: 'at most', floor: 25, goal: 10 } as const;

export const openLoop: Section = {
  letter: 'h',
  title: 'redirects at a fixed rate',
  how:
    `${PER_SECOND} signed click URLs a second for ${SECONDS} s over ${CONNECTIONS} connections, each request sent when it is due whatever became of the ` +
    'ones before; latency from the moment it was due to its answer. Gateway, actors, query service, reconciler and all servers run, and every ' +
    'click is counted: the sum is checked. The rate that was reached stands beside it; where it is lower, requests waited, and their waiting is in the latency.',
  leavesOut:
    'A network, TLS, connections that come and go. The sender shares the two cores, and sends once a millisecond: up to one of ' +
    'it is its own.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withLiveLedger(bench, { ads: ADS }, async (ledger) => {
    const { installation } = ledger;
    await Promise.all([installation.start('query'), installation.start('reconciler')]);
    const { httpPort } = readSettings(installation.environment, ['httpPort']);
    const sender = await OpenLoopSender.open(httpPort, CONNECTIONS);
    try {
      bench.progress('warming up');
      await runOnce(bench, ledger, sender);
      const { fixed } = await inTurn(bench, { fixed: () => runOnce(bench, ledger, sender) });
      const percentile = (share: number) => fixed.map(({ latencies }) => quantile(latencies, share));
      const hasRate = fixed.every(({ perSecond }) => perSecond >= PER_SECOND * REACHED_SHARE);
      const at = hasRate ? 'at the rate' : `at ${PER_SECOND}/s, which was NOT reached`;
      return {
        figures: [
          { name: 'rate reached', unit: '/s', values: fixed.map(({ perSecond }) => perSecond) },
          { name: `${at}, p50`, unit: 'ms', values: percentile(0.5) },
          { name: `${at}, p99`, unit: 'ms', values: percentile(0.99), goal: GOAL },
          { name: `${at}, p99.9`, unit: 'ms', values: percentile(0.999) },
        ],
        processor: [
          { name: 'redirects at a fixed rate', microseconds: fixed.map(({ processor }) => processor) },
        ],
      };
    } finally {
      sender.close();
    }
  });
}

async function runOnce(bench: Bench, ledger: LiveLedger, sender: OpenLoopSender) {
  const { installation } = ledger;
  const count = PER_SECOND * scaled(bench, SECONDS);
  const paths = signedPaths(installation.environment, count, uniformAds(ADS, seededRandom(1)));
  const requests = paths.map(requestOf);
  const before = await ledger.sums();
  Bun.gc(true);
  const meter = await ProcessorMeter.begin(await installation.processes());
  const run = await sender.run(requests, PER_SECOND);
  const processor = await meter.perClick(count);
  await ledger.stored(before.records + count);
  const after = await ledger.sums();
  const isExact = after.records === before.records + count && after.duplicates === before.duplicates;
  if (!isExact) throw new CliError(`${count} new clicks changed ${JSON.stringify([before, after])}`);
  return { ...run, processor };
}

function requestOf(path: string): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: click.example',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
    'Referer: https://news.example/world',
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}
