/**
 * From a click to a bill on a whole installation: minutes settle, late clicks restate them, a period is closed, what
 * comes then is an adjustment; and whatever happens, the streams say the same.
 */
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient, type IngestClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { uuid7At } from '../support/clicks.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

/** All of September 2025, and a little of what follows. */
const SEPTEMBER = Date.UTC(2025, 8, 1);

let installation: Installation;
let pool: Pool;
let ingest: IngestClient;
let sent = 0;

beforeAll(async () => {
  installation = await Installation.start({
    FLUSH_INTERVAL: '100ms',
    SHARDS: '4',
    SETTLE_GRACE: '0ms',
    HEARTBEAT: '200ms',
    LEASE: '1s',
  });
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 4 });
  pool.on('error', () => undefined);
  ingest = ingestClient(installation.ingestAddress);
  const catalog = catalogClient(installation.ingestAddress);
  await catalog.upsertAds({
    ads: ['shoes', 'hats'].map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' })),
  });
  catalog.close();
}, 120_000);

afterAll(async () => {
  ingest?.close();
  await pool?.end();
  await installation?.remove();
});

/** Clicks of these moments, until they are stored. */
async function clicks(adId: string, ...times: readonly number[]): Promise<void> {
  const list = times.map((ms) => {
    sent += 1;
    return { ad_id: adId, click_id: formatUuid(uuid7At(Date.now(), sent)), event_time_ms: ms };
  });
  await ingest.batchIngestClicks({ source: 'test', clicks: list });
  await untilStored(pool, sent);
}

/** Waits until every shard has counted beyond this moment. */
async function untilArrived(ms = Date.now() + 60_000): Promise<void> {
  await until('all shards have counted so far', async () => {
    const { rows } = await pool.query('select min(arrived_through_ms)::float8 as arrived from shard');
    return rows[0].arrived >= ms;
  });
}

async function reconcile(...words: readonly string[]) {
  const { exitCode, output } = await installation.run('reconcile', '--json', ...words);
  const lines = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  const summary = lines.find(({ kind }) => kind === 'summary') ?? {};
  return { exitCode, summary, output };
}

async function settlement() {
  const { rows } = await pool.query(
    'select watched_through, settled_through, closed_through from settlement',
  );
  return rows[0];
}

async function restatements() {
  const { rows } = await pool.query(
    `select ad_id, minute, cause, before_valid::float8 as before, after_valid::float8 as after, revision, booked_in, note
     from restatement order by id`,
  );
  return rows;
}

/** What `clickledger query` answers, over the first two minutes of September. */
async function query(...words: readonly string[]) {
  const range = ['--from', '2025-09-01T00:00Z', '--to', '2025-09-01T00:02Z'];
  const { exitCode, output } = await installation.run('query', 'shoes', 'hats', ...range, ...words);
  const lines = output.split('\n').map((line) => line.trim().split(/\s{2,}/));
  const rows = lines
    .filter(([ad]) => ad === 'shoes' || ad === 'hats')
    .map(([ad, time, valid, ...others]) => `${ad} ${time?.slice(-2)} ${valid} ${others.at(-1)}`);
  return { exitCode, rows, output };
}

const SETTLED_ROWS = ['hats 00 1 settled', 'shoes 00 2 settled', 'shoes 01 1 settled'];

describe('minutes', { timeout: 180_000 }, () => {
  test('settle when a run has found them equal, as far as every shard has counted', async () => {
    await clicks('shoes', SEPTEMBER, SEPTEMBER, SEPTEMBER + 60_000);
    await clicks('hats', SEPTEMBER);
    const arrived = Date.now();
    await untilArrived(arrived);
    const provisional = await query('--min-status', 'settled');
    expect(provisional.exitCode).toBe(2);
    expect(provisional.output).toContain(
      'minute 2025-09-01T00:00:00.000Z is PROVISIONAL, min_status is SETTLED',
    );
    expect((await query()).rows).toEqual(SETTLED_ROWS.map((row) => row.replace('settled', 'provisional')));
    const dry = await reconcile();
    expect(dry.summary).toMatchObject({ differing: 0, settled_through: null });
    expect((await settlement()).settled_through).toBe(-Infinity);
    const { exitCode, summary, output } = await reconcile('--settle');
    expect(exitCode, output).toBe(0);
    const through = Date.parse(summary['settled_through']);
    expect(through).toBeGreaterThanOrEqual(Math.floor(arrived / 60_000) * 60_000);
    expect((await settlement()).settled_through).toEqual(new Date(through));
    const shown = await installation.run('reconcile', '--from', 'settled', '--settle');
    expect(shown.exitCode).toBe(0);
    expect((await query('--min-status', 'settled')).rows).toEqual(SETTLED_ROWS);
    expect((await query('--min-status', 'final')).output).toContain(
      'is SETTLED, min_status is FINAL: no minute is final yet',
    );
    expect(shown.output).toMatch(/^minutes before 20\d\d-\d\d-\d\d \d\d:\d\d UTC are settled$/m);
  });

  test('that are settled change with a restatement, late clicks in their own flush', async () => {
    const before = new Date().toISOString();
    await clicks('shoes', SEPTEMBER);
    expect((await query()).rows).toEqual([
      'hats 00 1 settled',
      'shoes 00 3 settled, revision 1',
      'shoes 01 1 settled',
    ]);
    expect((await query('--granularity', 'hour')).rows).toEqual([
      'hats 00 1 settled',
      'shoes 00 4 settled, revision 1',
    ]);
    const then = await query('--as-of', before, '--min-status', 'settled');
    expect(then.rows).toEqual(SETTLED_ROWS);
    expect(then.output).toContain('as they stood at ');
    expect((await query('--as-of', 'now')).rows[1]).toBe('shoes 00 3 settled, revision 1');
    expect((await query('--as-of', '-1h')).output).toContain('no minute was settled at as_of_ms');
    expect(await restatements()).toMatchObject([
      {
        ad_id: 'shoes',
        minute: new Date(SEPTEMBER),
        cause: 'LATE',
        before: 2,
        after: 3,
        revision: 1,
        booked_in: null,
      },
    ]);
    expect((await reconcile('--from', 'settled', '--settle')).exitCode).toBe(0);
    expect((await reconcile()).exitCode).toBe(0);
  });

  test('that differ are not settled until they are restated, by a person with a reason too', async () => {
    await pool.query('update ad_minute set valid = valid + 5 where ad_id = $1 and minute = $2', [
      'hats',
      new Date(SEPTEMBER),
    ]);
    expect((await reconcile('--settle')).exitCode).toBe(1);
    const { rows } = await pool.query('select ad_id, minute from drift where ended_at is null');
    expect(rows).toEqual([{ ad_id: 'hats', minute: new Date(SEPTEMBER) }]);
    expect((await query()).rows[0]).toBe('hats 00 6 provisional');
    expect((await query('--min-status', 'settled')).output).toContain(
      'ad "hats", minute 2025-09-01T00:00:00.000Z is PROVISIONAL',
    );
    const applied = await reconcile('--apply', '--note', 'agreed with finance');
    expect(applied.exitCode).toBe(0);
    expect((await restatements()).at(-1)).toMatchObject({
      cause: 'MANUAL',
      note: 'agreed with finance',
      before: 6,
      after: 1,
      revision: 1,
    });
    expect((await pool.query('select from drift where ended_at is null')).rowCount).toBe(0);
  });

  test('of a run that is killed before it has settled are settled by the next', async () => {
    // There is something to settle again.
    await pool.query(
      `update settlement set settled_through = settled_through - interval '1 minute',
         watched_through = settled_through - interval '1 minute'`,
    );
    const before = (await settlement()).settled_through;
    const waits = async () => {
      const { rowCount } = await pool.query(
        `select from pg_stat_activity where application_name = 'reconcile recount' and query like '%update reconcile_run%'`,
      );
      return rowCount !== 0;
    };
    const blocker = await pool.connect();
    try {
      await blocker.query('begin');
      await blocker.query('lock table settled in exclusive mode');
      const run = installation.begin('reconcile', '--settle');
      await until('it is at its last step', waits);
      await run.kill();
      await blocker.query('commit');
    } finally {
      blocker.release(true);
    }
    await until('the server has ended what it had in hand', async () => !(await waits()));
    const { watched_through, settled_through } = await settlement();
    expect(watched_through.getTime()).toBeGreaterThan(before.getTime());
    expect(settled_through).toEqual(before);
    const { exitCode, summary } = await reconcile('--settle');
    expect(exitCode).toBe(0);
    expect(Date.parse(summary['settled_through'])).toBeGreaterThanOrEqual(watched_through.getTime());
    expect((await settlement()).settled_through).toEqual(new Date(summary['settled_through']));
  });
});

describe('a billing period', { timeout: 180_000 }, () => {
  const close = (month: string) => installation.run('close-period', month);

  async function periods() {
    const { output } = await installation.run('periods', '--json');
    return output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  }

  test('is refused while it is not the first, not settled, or differs; what is right is said', async () => {
    const october = await close('2025-10');
    expect(october.exitCode).toBe(1);
    expect(october.output).toContain('2025-09 is open, and periods are closed in order');
    const now = new Date().toISOString().slice(0, 7);
    expect((await close('2025-9')).output).toContain('Right is a year and a month');
    expect((await close(now)).exitCode).toBe(1);
    await pool.query('update ad_minute set givt = givt + 1 where ad_id = $1 and minute = $2', [
      'hats',
      new Date(SEPTEMBER),
    ]);
    expect((await reconcile('--settle')).exitCode).toBe(1);
    const differs = await close('2025-09');
    expect(differs.exitCode).toBe(1);
    expect(differs.output).toContain(
      '1 window of it differs from what the streams say, first ad hats at 2025-09-01 00:00 UTC',
    );
    expect((await reconcile('--apply')).exitCode).toBe(0);
  });

  test('is closed once; a late click is an adjustment then, and its row does not move', async () => {
    const closed = await close('2025-09');
    expect(closed.output).toContain('2025-09 is closed: its rows are final');
    expect(closed.exitCode).toBe(0);
    const again = await close('2025-09');
    expect([again.exitCode, again.output]).toEqual([0, expect.stringContaining('2025-09 is closed since')]);
    const future = await close('2025-11');
    expect(future.output).toContain('2025-10 is open');

    const row = async () =>
      (
        await pool.query('select ctid, xmin, * from ad_minute where minute < $1 order by ad_id, minute', [
          new Date('2025-10-01'),
        ])
      ).rows;
    const before = await row();
    await clicks('shoes', SEPTEMBER, SEPTEMBER);
    expect(await row()).toEqual(before);
    expect((await query('--min-status', 'final')).rows[1]).toBe('shoes 00 3 final, revision 1');
    expect((await restatements()).at(-1)).toMatchObject({
      cause: 'LATE',
      before: 3,
      after: 5,
      revision: null,
      booked_in: new Date('2025-10-01'),
    });
    expect((await reconcile()).summary).toMatchObject({ differing: 0 });
    expect(await periods()).toMatchObject([
      {
        from: '2025-09-01T00:00:00.000Z',
        to: '2025-10-01T00:00:00.000Z',
        clicks: '5',
        gross_clicks: '5',
        adjustments: 0,
      },
      {
        from: '2025-10-01T00:00:00.000Z',
        to: null,
        closed_at: null,
        clicks: '0',
        adjustments: 1,
        adjusted_clicks: '2',
      },
    ]);
    const table = await installation.run('periods');
    expect(table.output).toMatch(/^2025-09 .* 5 +5 +0 +0 +0$/m);
    expect(table.output).toMatch(/^from 2025-10 on +open +0 +0 +1 +2 +2$/m);
  });

  test('that was altered by hand is put right by an adjustment, too', async () => {
    await pool.query('update ad_minute set valid = valid + 10 where ad_id = $1 and minute = $2', [
      'shoes',
      new Date(SEPTEMBER),
    ]);
    expect((await reconcile('--apply')).exitCode).toBe(0);
    expect((await restatements()).at(-1)).toMatchObject({
      cause: 'RECONCILE',
      before: 15,
      after: 5,
      revision: null,
    });
    expect((await reconcile('--settle')).exitCode).toBe(0);
    expect((await close('2025-10')).exitCode).toBe(0);
    expect((await periods()).map(({ adjusted_clicks }) => adjusted_clicks)).toEqual(['0', '-8', '0']);
  });
});
