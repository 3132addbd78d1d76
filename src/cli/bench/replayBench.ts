/**
 * One round of the measurement of replays: the same clicks on the same machine, counted by the owners from the streams'
 * beginning and then replayed by `clickledger reconcile`, one after the other.
 */
import { Pool } from 'pg';
import { connectNats } from '../../adapters/nats/connection.ts';
import { RoutingLog } from '../../adapters/nats/routingLog.ts';
import { CliError } from '../cliError.ts';
import { aborted } from '../stack/interrupts.ts';
import { bunCommand } from '../stack/tools.ts';
import { publishClicks } from './benchClicks.ts';
import { BenchInstallation } from './benchInstallation.ts';
import { familyMemory } from './familyMemory.ts';
import { median } from './median.ts';

/** The end of counting is seen at a flush: with the interval of production it would be up to 10 s late. */
const FLUSH_INTERVAL = '1s';
const POLL_MS = 50;
/** Of a few seconds each: their median bears a neighbour that takes the processor for one of them. */
const REPLAYS = 3;

export interface ReplayBench {
  readonly clicks: number;
  readonly clicksAMessage: number;
  readonly shards: number;
}

export interface ReplayRound {
  readonly records: number;
  readonly windows: number;
  readonly livePerSecond: number;
  readonly replayPerSecond: number;
  /** The most that the replaying process, with those that it began, was seen to have in memory. */
  readonly replayPeakBytes: number;
}

/**
 * @param stop ends it; its servers and their data are gone when it has ended
 * @throws CliError where the replay does not find what was counted, or where it is stopped
 */
export async function measureReplay(
  bench: ReplayBench,
  nowMs: number,
  stop: AbortSignal,
): Promise<ReplayRound> {
  const installation = await BenchInstallation.start({ SHARDS: `${bench.shards}`, FLUSH_INTERVAL });
  const stopped = aborted(stop).then(() => {
    throw new CliError('stopped');
  });
  try {
    return await Promise.race([measureOn(installation, bench, nowMs), stopped]);
  } finally {
    await installation.remove();
  }
}

async function measureOn(
  installation: BenchInstallation,
  bench: ReplayBench,
  nowMs: number,
): Promise<ReplayRound> {
  const records = await publish(bench, installation, nowMs);
  const liveSeconds = await countLive(records, installation);
  const replays: Replayed[] = [];
  while (replays.length < REPLAYS) replays.push(await reconcile(records, installation));
  return {
    records,
    windows: replays[0]?.windows ?? 0,
    livePerSecond: records / liveSeconds,
    replayPerSecond: median(replays.map(({ perSecond }) => perSecond)),
    replayPeakBytes: Math.max(...replays.map(({ peakBytes }) => peakBytes)),
  };
}

async function publish(
  bench: ReplayBench,
  { environment }: BenchInstallation,
  endMs: number,
): Promise<number> {
  const nats = await connectNats(environment['NATS_URL'] ?? '', 'bench');
  try {
    const client = nats.jetstream();
    const routing = new RoutingLog(client, await nats.jetstreamManager());
    await routing.read();
    return await publishClicks({ ...bench, endMs }, routing.table, client);
  } finally {
    await nats.close();
  }
}

/** @returns seconds from when the owners were ready until everything was stored */
async function countLive(records: number, installation: BenchInstallation): Promise<number> {
  const pool = new Pool({ connectionString: installation.environment['DATABASE_URL'], max: 1 });
  try {
    await installation.startActors();
    const startMs = performance.now();
    while ((await storedRecords(pool)) < records) await Bun.sleep(POLL_MS);
    return (performance.now() - startMs) / 1_000;
  } finally {
    await pool.end();
  }
}

async function storedRecords(pool: Pool): Promise<number> {
  const { rows } = await pool.query('select coalesce(sum(records), 0)::float8 as records from shard');
  return rows[0].records;
}

interface Replayed {
  readonly windows: number;
  readonly perSecond: number;
  readonly peakBytes: number;
}

async function reconcile(records: number, { environment }: BenchInstallation): Promise<Replayed> {
  const command = Bun.spawn([...bunCommand('src/cli/main.ts'), 'reconcile', '--json'], {
    env: environment,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const peak = peakMemory(command.pid, command.exited);
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

/** The most that the process and its own processes were seen to have. */
async function peakMemory(pid: number, exited: Promise<number>): Promise<number> {
  let hasEnded = false;
  void exited.then(() => {
    hasEnded = true;
  });
  let peak = 0;
  while (!hasEnded) {
    peak = Math.max(peak, await familyMemory(pid));
    await Bun.sleep(POLL_MS);
  }
  return peak;
}
