/** Part a: what a signed, durable redirect costs, against one that does nothing. */
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { CliError } from '../../cliError.ts';
import { seededRandom } from '../../demo/sampleTraffic.ts';
import { endpoints } from '../../endpoints.ts';
import { tiedCommand } from '../../stack/privileges.ts';
import { bunCommand } from '../../stack/tools.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { registerAds, uniformAds } from '../benchAds.ts';
import { type BenchInstallation, withInstallation } from '../benchInstallation.ts';
import { type Figure, type Measured, ratio, type Unit } from '../figure.ts';
import { LiveLedger } from '../liveLedger.ts';
import { ProcessorMeter } from '../processorTime.ts';
import { signedPaths } from '../signedPaths.ts';
import { runWrk, WRK_CONNECTIONS, type WrkResult } from '../wrk.ts';

const ADS = 1_000;
const SECONDS = 4;
const PATHS = 100_000;
const GOAL = { sense: 'at least', floor: 0.4, goal: 0.6 } as const;

export const redirects: Section = {
  letter: 'a',
  title: 'signed click URLs over HTTP',
  how:
    `wrk, one thread, ${WRK_CONNECTIONS} connections that are always busy, ${SECONDS} s, signed URLs of ${ADS} ads made beforehand, with the headers of ` +
    'a browser. Bare: a Bun.serve that answers 302 and nothing else. Signed: all that the gateway does with a click URL, by its own ' +
    'code, but for making the click durable. Durable: the gateway; NATS has fsynced the click before the person is redirected. Counting does ' +
    'not run meanwhile (part h has everything running).',
  leavesOut:
    'Browsers, TLS, and connections that come and go. The loop is closed: who waits for an answer sends nothing, so the ' +
    'percentiles are of a gateway at its limit. Client and server share the cores.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withInstallation(bench, {}, async (installation) => {
    const { environment } = installation;
    const ledger = new LiveLedger(installation);
    await registerAds(ledger.pool, ADS, bench.stop).finally(() => ledger.close());
    await installation.start('gateway');
    const floors = [floorServer('bare', environment), floorServer('signed', environment)] as const;
    try {
      const file = installation.path('paths');
      const paths = signedPaths(environment, scaled(bench, PATHS, 1_000), uniformAds(ADS, seededRandom(1)));
      await writeFile(file, paths.join('\n'));
      const [bare, signed] = [await floors[0].url, await floors[1].url];
      const { httpBaseUrl } = endpoints(environment);
      const run = (url: string, server: string, pid?: number) =>
        timed(bench, installation, url, file, server, pid);
      await run(httpBaseUrl, 'gateway');
      return figuresOf(
        await inTurn(bench, {
          bare: () => run(bare, 'server', floors[0].pid),
          signed: () => run(signed, 'server', floors[1].pid),
          durable: () => run(httpBaseUrl, 'gateway'),
        }),
      );
    } finally {
      for (const { end } of floors) end();
    }
  });
}

interface Run extends WrkResult {
  readonly processor: Readonly<Record<string, number>>;
}

async function timed(
  bench: Bench,
  installation: BenchInstallation,
  url: string,
  file: string,
  server: string,
  pid?: number,
): Promise<Run> {
  const processes = await installation.processes();
  if (pid !== undefined) processes.set(server, pid);
  const meter = await ProcessorMeter.begin(processes);
  const result = await runWrk(url, file, scaled(bench, SECONDS), bench.stop);
  const spent = await meter.perClick(result.requests);
  const taking = pid === undefined ? ['gateway', 'nats-server'] : [server];
  const processor = Object.fromEntries(taking.map((name) => [name, spent[name] ?? 0]));
  return { ...result, processor: { client: result.clientMicroseconds, ...processor } };
}

/** A process that redirects, and ends with this one. */
function floorServer(kind: 'bare' | 'signed', environment: BenchInstallation['environment']) {
  const command = [...bunCommand('src/cli/bench/floors/redirectServer.ts'), kind];
  const child = Bun.spawn(tiedCommand(command, 'KILL'), {
    env: environment,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const url = (async () => {
    for await (const line of createInterface({ input: Readable.from(child.stdout) }))
      return `http://127.0.0.1:${line}`;
    throw new CliError(`the ${kind} floor of part a did not start`);
  })();
  return { pid: child.pid, url, end: () => child.kill('SIGKILL') };
}

const NAMES = { bare: 'bare 302', signed: 'signed 302', durable: 'signed durable 302' } as const;

function figuresOf(results: Record<keyof typeof NAMES, Run[]>): Measured {
  const kinds = Object.keys(NAMES) as (keyof typeof NAMES)[];
  const figures = (kind: keyof typeof NAMES): Figure[] => {
    const figure = (name: string, unit: Unit, of: (run: Run) => number) => ({
      name: `${NAMES[kind]}${name}`,
      unit,
      values: results[kind].map(of),
    });
    return [
      figure('', '/s', (run) => run.perSecond),
      figure(', p50', 'ms', (run) => run.p50),
      figure(', p99', 'ms', (run) => run.p99),
      figure(', p99.9', 'ms', (run) => run.p999),
    ];
  };
  const [bare, signed, durable] = kinds.map((kind) => results[kind].map((run) => run.perSecond));
  return {
    figures: [
      ...kinds.flatMap(figures),
      ratio('signed 302 / bare 302', signed ?? [], bare ?? []),
      ratio('signed durable 302 / bare 302', durable ?? [], bare ?? [], GOAL),
    ],
    processor: kinds.map((kind) => ({
      name: NAMES[kind],
      microseconds: results[kind].map((run) => run.processor),
    })),
  };
}
