/** The reconciler's metrics: what they say after runs of every kind, and over HTTP. */
import { expect, onTestFinished, test } from 'vitest';
import { serveMetrics } from '../../../src/adapters/prometheus/metricsServer.ts';
import { ReconcileMetrics } from '../../../src/adapters/prometheus/reconcileMetrics.ts';
import type { JobEnd, JobResult } from '../../../src/domain/reconcileJob.ts';

const EQUAL: JobResult = {
  run: undefined,
  shards: 2,
  windows: 9,
  differing: 0,
  restated: 0,
  undecided: 0,
  late: 0,
  shardsDiffering: 0,
  rollups: 0,
  rollupsDiffering: 0,
  rollupsRestated: 0,
  rollupsUndecided: 0,
};
const done = (result: Partial<JobResult>): JobEnd => ({ state: 'DONE', result: { ...EQUAL, ...result } });

async function valuesAfter(...ends: JobEnd[]): Promise<Record<string, number>> {
  const metrics = new ReconcileMetrics(async () => 0);
  for (const end of ends) metrics.ended(end, 1_500);
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => /^clickledger/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]));
}

const runs = (result: string) => `clickledger_reconcile_runs_total{result="${result}"}`;

test.each<[string, JobEnd, number]>([
  ['equal', done({}), 0],
  ['different', done({ differing: 5, restated: 2, undecided: 1 }), 2],
  ['different', done({ shardsDiffering: 1 }), 0],
  ['undecided', done({ differing: 3, undecided: 3 }), 0],
])('a run that ended %s says so, and how many windows still differ', async (result, end, drift) => {
  const values = await valuesAfter(end);
  expect(values[runs(result)]).toBe(1);
  expect(values['clickledger_drift_windows']).toBe(drift);
  expect(values['clickledger_reconcile_last_duration_seconds']).toBe(1.5);
});

test('a run without an answer leaves what is known of the drift', async () => {
  const values = await valuesAfter(
    done({ differing: 4, shardsDiffering: 2 }),
    { state: 'FAILED', problem: '' },
    { state: 'CANCELLED', problem: '' },
    { state: 'INTERRUPTED', problem: '' },
  );
  for (const result of ['different', 'failed', 'cancelled', 'interrupted'])
    expect(values[runs(result)]).toBe(1);
  expect(values[runs('equal')]).toBe(0);
  expect(values['clickledger_drift_windows']).toBe(4);
  expect(values['clickledger_drift_shards']).toBe(2);
});

test('they are at /metrics and nowhere else', async () => {
  const metrics = new ReconcileMetrics(async () => 0);
  metrics.settledThrough(1_800_000_000_000);
  metrics.replayed(7);
  const server = serveMetrics('127.0.0.1', 0, metrics.registry);
  onTestFinished(() => server.stop());
  const url = `http://127.0.0.1:${server.port}`;
  const answer = await fetch(`${url}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  const text = await answer.text();
  expect(text).toContain('clickledger_settled_through_seconds 1800000000\n');
  expect(text).toContain('clickledger_reconcile_records_total 7\n');
  expect((await fetch(`${url}/`)).status).toBe(404);
});

test('windows that still differ are asked for at each look, and stay as they were while nobody answers', async () => {
  const answers = [Promise.resolve(3), Promise.reject(new Error('away')), Promise.resolve(0)];
  for (const answer of answers) answer.catch(() => undefined);
  const metrics = new ReconcileMetrics(() => answers.shift() ?? Promise.resolve(-1));
  const seen = [];
  for (let look = 0; look < 3; look++)
    seen.push(/^clickledger_drift_open_windows (.*)$/m.exec(await metrics.registry.metrics())?.[1]);
  expect(seen).toEqual(['3', '3', '0']);
});
