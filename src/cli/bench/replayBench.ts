/**
 * One round of the measurement of replays: the same clicks on the same machine, counted live as they come in, counted by
 * the owners from the streams' beginning (catch-up), and replayed by `clickledger reconcile`, one after the other.
 */
import { median } from 'simple-statistics';
import { CliError } from '../cliError.ts';
import { seededRandom } from '../demo/sampleTraffic.ts';
import { bunCommand } from '../stack/tools.ts';
import { uniformAds } from './benchAds.ts';
import type { Environment } from './benchInstallation.ts';
import { type LiveLedger, withLiveLedger } from './liveLedger.ts';
import { familyPeak } from './processMemory.ts';
import { catchUpOnce } from './sections/catchUp.ts';

const ADS = 500;
/** Sent at once: more would have to be in memory. */
const PORTION = 250_000;
/** Of a few seconds each: their median bears a neighbour that takes the processor for one of them. */
const REPLAYS = 3;

export interface ReplayBench {
  readonly clicks: number;
  readonly shards: number;
}

export interface ReplayRound {
  readonly records: number;
  readonly windows: number;
  /** Counted end to end through StreamIngestClicks. */
  readonly livePerSecond: number;
  /** By the owners alone, from what stands on the streams. */
  readonly catchUpPerSecond: number;
  readonly replayPerSecond: number;
  /** The most that the replaying process, with those that it began, was seen to have in memory. */
  readonly replayPeakBytes: number;
}

/**
 * @param stop ends it; its servers and their data are gone when it has ended
 * @throws CliError where the replay does not find what was counted, or where it is stopped
 */
export function measureReplay({ clicks, shards }: ReplayBench, stop: AbortSignal): Promise<ReplayRound> {
  const settings = { SHARDS: `${shards}` };
  return withLiveLedger({ stop, scale: 1 }, { ads: ADS, settings }, async (ledger) => {
    const livePerSecond = await countLive(ledger, clicks);
    const { perSecond: catchUpPerSecond } = await catchUpOnce(ledger, clicks);
    const replays: Replayed[] = [];
    while (replays.length < REPLAYS) replays.push(await reconcile(clicks, ledger.installation.environment));
    return {
      records: clicks,
      windows: replays[0]?.windows ?? 0,
      livePerSecond,
      catchUpPerSecond,
      replayPerSecond: median(replays.map(({ perSecond }) => perSecond)),
      replayPeakBytes: Math.max(...replays.map(({ peakBytes }) => peakBytes)),
    };
  });
}

async function countLive(ledger: LiveLedger, clicks: number): Promise<number> {
  const nextAd = uniformAds(ADS, seededRandom(1));
  let seconds = 0;
  for (let from = 0; from < clicks; from += PORTION) {
    const portion = Math.min(PORTION, clicks - from);
    seconds += portion / (await ledger.count(ledger.workload(portion, nextAd))).perSecond;
  }
  return clicks / seconds;
}

interface Replayed {
  readonly windows: number;
  readonly perSecond: number;
  readonly peakBytes: number;
}

async function reconcile(records: number, environment: Environment): Promise<Replayed> {
  const command = Bun.spawn([...bunCommand('src/cli/main.ts'), 'reconcile', '--json'], {
    env: environment,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const peak = familyPeak(command.pid, command.exited);
  const [output, complaint] = await Promise.all([command.stdout.text(), command.stderr.text()]);
  await command.exited;
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new CliError(`reconcile failed: ${complaint}`);
  const summary: Record<string, unknown> = JSON.parse(last);
  if (summary['records'] !== records || summary['differing'] !== 0)
    throw new CliError(`the replay does not agree with what was counted: ${last}`);
  return {
    windows: Number(summary['windows']),
    perSecond: Number(summary['records_per_second']),
    peakBytes: await peak,
  };
}
