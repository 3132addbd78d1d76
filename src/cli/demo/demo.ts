/**
 * `up --demo`: sample ads, a steady stream of sample clicks, signed ones over HTTP like any browser's and others over gRPC
 * like any ad server's, and a table that shows how the counts follow. Nothing in it is simulated but the people.
 */

import { readSettings } from '../../adapters/environment/settings.ts';
import { explainCallError } from '../../adapters/grpc/callError.ts';
import { catalogClient, ingestClient, queryClient } from '../../adapters/grpc/clients.ts';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { isTty, print, showLive } from '../terminal.ts';
import { type DemoState, renderDemo, renderTotals } from './demoTable.ts';
import { LiveCounter, type LiveCounts } from './liveCounts.ts';
import { SAMPLE_ADS } from './sampleAds.ts';
import { SampleTraffic, seededRandom } from './sampleTraffic.ts';
import { COUNTRY_HEADER, TrafficSender } from './trafficSender.ts';

const CLICKS_PER_SECOND = 100;
const REFRESH_MS = 1_000;
/** Off a terminal there is a line of totals for so many refreshes. */
const REFRESHES_A_LINE = 5;
const QUERY_DEADLINE_MS = 2_000;
const TERMINAL_ROWS = 24;
const SEED = 20_260_101;

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs until `signal` is aborted. @throws CliError where the sample ads cannot be registered */
export async function runDemo(environment: Environment, signal: AbortSignal): Promise<void> {
  const { ingestAddress, queryAddress, httpBaseUrl } = endpoints(environment);
  const [key] = readSettings(environment, ['signingKeys']).signingKeys;
  if (key === undefined) throw new CliError('CLICKLEDGER_SIGNING_KEYS holds no key');
  await registerSampleAds(ingestAddress);
  const adIds = SAMPLE_ADS.map(({ ad_id }) => ad_id);
  const client = queryClient(queryAddress, QUERY_DEADLINE_MS);
  const ingest = ingestClient(ingestAddress);
  const startMs = Date.now();
  const counter = new LiveCounter(client, adIds, startMs);
  try {
    await counter.start(startMs);
    const traffic = new SampleTraffic(adIds, seededRandom(SEED), () => Bun.randomUUIDv7());
    const sender = new TrafficSender({
      next: () => traffic.next(),
      key,
      baseUrl: httpBaseUrl,
      ingest,
      newClickId: () => Bun.randomUUIDv7(),
      clicksPerSecond: CLICKS_PER_SECOND,
      nowMs: () => performance.now(),
    });
    await watch(counter, sender, queryAddress, startMs, signal);
  } catch (error) {
    if (!signal.aborted) throw new CliError(explainCallError(error, 'the query service', queryAddress));
  } finally {
    client.close();
    ingest.close();
  }
}

/** The demo is its own edge: the gateways believe what it says of who clicks, unless they were told whom to believe. */
export function demoEdge(environment: Environment): Record<string, string> {
  const told = ['CLICKLEDGER_TRUSTED_PROXIES', 'CLICKLEDGER_COUNTRY_HEADER'].map((name) => environment[name]);
  if (told.some((value) => value !== undefined && value !== '')) return {};
  return { CLICKLEDGER_TRUSTED_PROXIES: '127.0.0.1,::1', CLICKLEDGER_COUNTRY_HEADER: COUNTRY_HEADER };
}

async function registerSampleAds(address: string): Promise<void> {
  const catalog = catalogClient(address);
  try {
    await catalog.upsertAds({ ads: [...SAMPLE_ADS] });
  } catch (error) {
    throw new CliError(explainCallError(error, 'the gateway', address));
  } finally {
    catalog.close();
  }
}

async function watch(
  counter: LiveCounter,
  sender: TrafficSender,
  queryAddress: string,
  startMs: number,
  signal: AbortSignal,
): Promise<void> {
  let state: DemoState = {
    counts: undefined,
    sent: 0,
    failed: 0,
    nowMs: startMs,
    startMs,
    trouble: undefined,
  };
  for (let refresh = 1; !signal.aborted; refresh += 1) {
    await pause(REFRESH_MS, signal);
    if (signal.aborted) break;
    const failedBefore = state.failed;
    // Before the question: what is answered while it is asked cannot be expected in its answer.
    const { taken: sent, failed } = sender;
    const answer = await ask(counter, queryAddress);
    state = {
      counts: answer.counts ?? state.counts,
      sent,
      failed,
      nowMs: Date.now(),
      startMs,
      trouble: answer.trouble ?? (failed > failedBefore ? sender.lastFailure : undefined),
    };
    if (signal.aborted) break;
    if (isTty()) showLive(renderDemo(state, process.stdout.rows || TERMINAL_ROWS));
    else if (refresh % REFRESHES_A_LINE === 0) print(renderTotals(state));
  }
  sender.stop();
  // The last table stays on the screen above what comes.
  showLive('');
  print(isTty() ? renderDemo(state, process.stdout.rows || TERMINAL_ROWS) : renderTotals(state));
}

async function ask(
  counter: LiveCounter,
  address: string,
): Promise<{ counts: LiveCounts | undefined; trouble: string | undefined }> {
  try {
    return { counts: await counter.read(Date.now()), trouble: undefined };
  } catch (error) {
    return { counts: undefined, trouble: explainCallError(error, 'the query service', address) };
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', stop);
}
