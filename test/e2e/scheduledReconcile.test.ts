/**
 * The reconcile that nobody asks for, on a whole installation: what is altered in the counts shows in its metrics and in its
 * log. And what came again after the dedup horizon is told record by record.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { minuteOf } from '../../src/domain/windowCounts.ts';
import { AuditClient } from '../support/auditClient.ts';
import { uuid7At } from '../support/clicks.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

const HORIZON_MS = 2_000;
const ERROR_LEVEL = 50;
const HOUR_MS = 3_600_000;

describe('the scheduled reconcile', { timeout: 240_000 }, () => {
  let installation: Installation;
  let pool: Pool;
  let audits: AuditClient;
  const startMs = Date.now();
  const minute = minuteOf(startMs);
  const click = (number: number, impression: number) => ({
    ad_id: 'shoes',
    click_id: formatUuid(uuid7At(startMs, number)),
    impression_id: formatUuid(uuid7At(startMs, impression)),
    event_time_ms: startMs,
  });

  beforeAll(async () => {
    installation = await Installation.start({
      FLUSH_INTERVAL: '100ms',
      SHARDS: '2',
      RECONCILE_INTERVAL: '1s',
      DEDUP_HORIZON: `${HORIZON_MS}ms`,
      CLICK_URL_TTL: '1s',
      MAX_FUTURE_SKEW: '1s',
      // What is settled is not looked at again: the minutes of this test are not.
      SETTLE_GRACE: '1h',
    });
    pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
    pool.on('error', () => undefined);
    audits = new AuditClient(installation.queryAddress);
    const catalog = catalogClient(installation.ingestAddress);
    await catalog.upsertAds({ ads: [{ ad_id: 'shoes', destination_url: 'https://shop.example/' }] });
    catalog.close();
  });

  afterAll(async () => {
    audits?.close();
    await pool?.end();
    await installation?.remove();
  });

  async function send(...clicks: ReturnType<typeof click>[]): Promise<void> {
    const ingest = ingestClient(installation.ingestAddress);
    await ingest.batchIngestClicks({ source: 'test', clicks });
    ingest.close();
  }

  /** A metric's value; where it has labels, with them. */
  async function metric(name: string): Promise<number> {
    const text = await (await fetch(installation.metricsUrl)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    return Number(line?.slice(name.length));
  }

  const untilDrift = (windows: number) =>
    until(`the drift is ${windows}`, async () => (await metric('clickledger_drift_windows')) === windows);

  async function logLines(): Promise<Record<string, unknown>[]> {
    const text = await readFile(path.join(installation.directory, 'logs', 'reconciler.log'), 'utf8');
    return text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  test('runs again and again, and says once a run that all is equal', async () => {
    await send(click(1, 11), click(2, 12), click(3, 13));
    await untilStored(pool, 3);
    const equal = 'clickledger_reconcile_runs_total{result="equal"}';
    const before = await metric(equal);
    await until('two more runs found all equal', async () => (await metric(equal)) >= before + 2);
    expect(await metric('clickledger_drift_windows')).toBe(0);
    expect(await metric('clickledger_reconcile_records_total')).toBeGreaterThanOrEqual(3);
    expect(await metric('clickledger_reconcile_last_duration_seconds')).toBeGreaterThan(0);
    expect((await logLines()).filter(({ level }) => Number(level) >= ERROR_LEVEL)).toEqual([]);
    const { job } = await audits.call('GetReconcile', {});
    expect(job).toMatchObject({ started_by: 'SCHEDULE', request: { apply: false, settle: true } });
  });

  test('settles minutes that are over and equal, and no others', async () => {
    const statusOf = async (minute_ms: number) =>
      (await audits.call('GetWindowProof', { ad_id: 'shoes', minute_ms })).status;
    await until('a minute is settled', async () => (await statusOf(minute - 2 * HOUR_MS)) === 'SETTLED');
    expect(await statusOf(minute)).toBe('PROVISIONAL');
    await until('the metric says so', async () => {
      const settledMs = (await metric('clickledger_settled_through_seconds')) * 1_000;
      return settledMs > minute - 2 * HOUR_MS && settledMs <= Date.now() - HOUR_MS;
    });
  });

  test('shows what somebody altered in its metric and its log, and changes nothing', async () => {
    await pool.query(`update ad_minute set valid = valid + 1 where ad_id = 'shoes'`);
    await untilDrift(1);
    const differs = async () =>
      (await logLines()).find(({ msg }) => msg === 'the stored counts differ from the streams');
    // The log is written behind the metric.
    await until('the log names what differs', async () => (await differs()) !== undefined);
    expect(await differs()).toMatchObject({
      level: ERROR_LEVEL,
      adId: 'shoes',
      minute: new Date(minute).toISOString(),
      before: { valid: '4' },
      after: { valid: '3' },
    });
    const { rows } = await pool.query('select valid::float8 from ad_minute');
    expect(rows).toEqual([{ valid: 4 }]);
    // The settlement passed by it, as it does an hour later: no run looks at it again, and it is not forgotten.
    await pool.query(`insert into drift (ad_id, minute, run) select ad_id, minute, 1 from ad_minute`);
    expect(await metric('clickledger_drift_open_windows')).toBe(1);
    await pool.query('update drift set ended_at = clock_timestamp()');
    expect(await metric('clickledger_drift_open_windows')).toBe(0);
    await pool.query(`update ad_minute set valid = valid - 1 where ad_id = 'shoes'`);
    await untilDrift(0);
    expect(await metric('clickledger_reconcile_runs_total{result="different"}')).toBeGreaterThan(0);
  });

  test('tells late repeats record by record, and takes them for what they are', async () => {
    await Bun.sleep(HORIZON_MS + 2_500);
    // The first click itself, and another one on the second impression: live, both are billed again.
    await send(click(1, 11), click(4, 12));
    await untilStored(pool, 5);
    const window = { ad_id: 'shoes', minute_ms: minute };
    const verified = await audits.call('VerifyWindow', window);
    expect(verified).toMatchObject({
      verdict: 'DIFFERENT',
      explanation: 'LATE_RECORDS',
      late: 2,
      records: 5,
      stored: { valid: 5, repeat: 0 },
      recounted: { valid: 3, repeat: 1 },
    });
    const named = verified.differing.map((one) => [
      one.click?.click_id,
      one.click?.disposition,
      one.stored_as,
    ]);
    expect(named).toEqual([
      [click(1, 11).click_id, 'DUPLICATE', 'VALID'],
      [click(4, 12).click_id, 'REPEAT', 'VALID'],
    ]);
    const { records } = await audits.call('GetClick', { click_id: click(4, 12).click_id });
    expect(records).toMatchObject([
      { disposition: 'REPEAT', counted_as: 'VALID', reason: 'same_impression' },
    ]);
    expect((await installation.run('reconcile', '--apply')).exitCode).toBe(0);
    expect(await audits.call('VerifyWindow', window)).toMatchObject({ verdict: 'EQUAL', late: 2 });
    const { restatements } = await audits.call('ListRestatements', { cause: 'RECONCILE' });
    expect(restatements).toMatchObject([{ late: 2, before: { valid: 5 }, after: { valid: 3 } }]);
  });

  test('one that runs when everything is ended says that it was interrupted', async () => {
    const blocker = await pool.connect();
    await blocker.query('begin; lock table ad_minute in access exclusive mode');
    const { rows } = await blocker.query(`select max(job)::float8 as last from reconcile_job`);
    let running = 0;
    await until('a run waits', async () => {
      const { job } = await audits.call('GetReconcile', {});
      running = job?.id ?? 0;
      return running > rows[0].last && job?.state === 'RUNNING' && job.records > 0;
    });
    await installation.stopService('reconciler');
    await until('the reconciler answers again', () =>
      audits.call('GetReconcile', {}).then(
        () => true,
        () => false,
      ),
    );
    const { job } = await audits.call('GetReconcile', { id: running });
    expect(job).toMatchObject({ state: 'INTERRUPTED', problem: expect.stringContaining('was stopped') });
    await blocker.query('rollback');
    blocker.release();
    expect(await installation.stop()).toBe(0);
  });
});
