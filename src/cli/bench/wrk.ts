/** Runs wrk: as many requests as go through over a number of connections that are always busy (a closed loop). */
import path from 'node:path';
import * as z from 'zod';
import { CliError } from '../cliError.ts';
import { tiedCommand } from '../stack/privileges.ts';
import { toolPath } from '../stack/tools.ts';

const SCRIPT = path.join(import.meta.dirname, 'wrk.lua');
export const WRK_CONNECTIONS = 256;

const resultSchema = z.object({
  requests: z.number(),
  seconds: z.number(),
  failed: z.number(),
  p50: z.number(),
  p99: z.number(),
  p999: z.number(),
});

export interface WrkResult {
  readonly perSecond: number;
  /** Milliseconds, from a request's sending to the end of its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly requests: number;
  /** µs of wrk's own processor time a request. */
  readonly clientMicroseconds: number;
}

/**
 * @param paths a file with a path a line
 * @throws CliError where a request had another answer than it should
 */
export async function runWrk(
  baseUrl: string,
  paths: string,
  seconds: number,
  stop: AbortSignal,
): Promise<WrkResult> {
  const options = ['-t1', `-c${WRK_CONNECTIONS}`, `-d${seconds}s`, '-s', SCRIPT];
  const wrk = Bun.spawn(tiedCommand([toolPath('wrk'), ...options, baseUrl, '--', paths], 'KILL'), {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    signal: stop,
  });
  const [output, complaint] = await Promise.all([wrk.stdout.text(), wrk.stderr.text()]);
  await wrk.exited;
  stop.throwIfAborted();
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new CliError(`wrk failed: ${complaint}${output}`);
  const { requests, failed, seconds: took, ...percentiles } = resultSchema.parse(JSON.parse(last));
  if (failed > 0) throw new CliError(`${failed} of ${requests} requests of wrk failed`);
  const { cpuTime } = wrk.resourceUsage() ?? { cpuTime: { total: Number.NaN } };
  return {
    ...percentiles,
    requests,
    perSecond: requests / took,
    clientMicroseconds: Number(cpuTime.total) / requests,
  };
}
