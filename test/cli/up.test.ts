/** `up` as a whole: the real servers and clickledger's own processes, from the first line to the last. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/cli/stack/freePort.ts';
import { instanceEnvironment } from '../../src/cli/stack/instance.ts';
import { tiedCommand } from '../../src/cli/stack/privileges.ts';
import { isRunning, type ProcessIdentity } from '../../src/cli/stack/processIdentity.ts';
import { bunCommand } from '../../src/cli/stack/tools.ts';
import { testFolder } from './stack/testFolder.ts';

async function startUp(folder: string) {
  const [http, ingest, query, audit, metrics, web, queryMetrics] = await Promise.all(
    Array.from({ length: 7 }, () => freePort()),
  );
  const up = Bun.spawn(tiedCommand([...bunCommand('src/cli/main.ts'), 'up'], 'KILL'), {
    env: {
      PATH: process.env['PATH'],
      CLICKLEDGER_DATA_DIR: folder,
      CLICKLEDGER_HTTP_PORT: String(http),
      CLICKLEDGER_INGEST_PORT: String(ingest),
      CLICKLEDGER_QUERY_PORT: String(query),
      CLICKLEDGER_AUDIT_PORT: String(audit),
      CLICKLEDGER_RECONCILER_METRICS_PORT: String(metrics),
      CLICKLEDGER_WEB_PORT: String(web),
      CLICKLEDGER_QUERY_METRICS_PORT: String(queryMetrics),
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  onTestFinished(() => up.kill('SIGKILL'));
  const lines = createInterface({ input: Readable.from(up.stdout) })[Symbol.asyncIterator]();
  return {
    up,
    http,
    /** Reads on until `line` was printed, and returns all that was. */
    until: async (line: string) => {
      const seen: string[] = [];
      while (seen.at(-1) !== line) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`up ended before it said "${line}": ${seen.join('\n')}`);
        seen.push(value);
      }
      return seen;
    },
  };
}

async function children(folder: string): Promise<Record<string, ProcessIdentity>> {
  return JSON.parse(await readFile(join(folder, 'processes.json'), 'utf8'));
}

test('`up` says where everything is and `ready`, serves, and drains when it is asked to end', async () => {
  const folder = await testFolder();
  const { up, http, until } = await startUp(folder);
  const said = await until('ready');
  expect(said.map((line) => line.split(' ')[0])).toEqual([
    'nats',
    'redis',
    'postgres',
    'migrations',
    'processes',
    'http',
    'ingest',
    'query',
    'page',
    'metrics',
    'data',
    'logs',
    'ready',
  ]);
  expect(said).toContain(`http        http://127.0.0.1:${http}`);
  expect((await fetch(`http://127.0.0.1:${http}/readyz`)).status).toBe(200);
  expect(instanceEnvironment(folder, {})).toMatchObject({ CLICKLEDGER_HTTP_PORT: String(http) });
  const started = Object.values(await children(folder));
  expect(started).toHaveLength(7);
  up.kill('SIGTERM');
  await until('drained: all accepted clicks are flushed');
  expect(await up.exited).toBe(0);
  expect(started.some(isRunning)).toBe(false);
});

test('a process of `up` that is killed is ready again, and the end is still an orderly one', async () => {
  const folder = await testFolder();
  const { up, until } = await startUp(folder);
  await until('ready');
  const { 'actors-1': actors } = await children(folder);
  process.kill(actors?.pid ?? 0, 'SIGKILL');
  await until('actors-1 ready again');
  up.kill('SIGINT');
  await until('drained: all accepted clicks are flushed');
  expect(await up.exited).toBe(0);
});
