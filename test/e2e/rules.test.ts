/**
 * Rule sets on a whole installation: counted clicks are judged again, in a dry run and for good; what was decided stays,
 * also where a late click comes, and a rule set that is adopted judges what comes from then on.
 */
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogClient, type IngestClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { AuditClient } from '../support/auditClient.ts';
import { uuid7At } from '../support/clicks.ts';
import { Installation } from './installation.ts';

const TIMEOUT_MS = 120_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const WAIT_MS = 60_000;
const POLL_MS = 20;
/** Listed by rule set 2 only. */
const PAGE_TEST = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/117.0.0.0 Safari/537.36 GTmetrix';
const PERSON = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';

const minute = Math.floor((Date.now() - HOUR_MS) / MINUTE_MS) * MINUTE_MS;
const next = minute + MINUTE_MS;
let installation: Installation;
let pool: Pool;
let ingest: IngestClient;
let audits: AuditClient;
let broker: Broker;
let sent = 0;

beforeAll(async () => {
  installation = await Installation.start({
    FLUSH_INTERVAL: '100ms',
    SHARDS: '2',
    RECONCILE_INTERVAL: 'off',
  });
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
  pool.on('error', () => undefined);
  ingest = ingestClient(installation.ingestAddress);
  audits = new AuditClient(installation.queryAddress);
  broker = await openBroker(await installation.natsUrl());
  const catalog = catalogClient(installation.ingestAddress);
  const ads = ['shoes', 'hats'].map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' }));
  await catalog.upsertAds({ ads });
  catalog.close();
}, TIMEOUT_MS);

afterAll(async () => {
  audits?.close();
  ingest?.close();
  await broker?.connection.close();
  await pool?.end();
  await installation?.remove();
});

const id = (number: number, timeMs = minute) => formatUuid(uuid7At(timeMs, number));

async function send(...clicks: Click[]): Promise<void> {
  const { results } = await ingest.batchIngestClicks({ source: 'test', clicks });
  expect(results.map(({ status }) => status)).toEqual(clicks.map(() => 'ACCEPTED'));
  sent += clicks.length;
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const { rows } = await pool.query('select sum(records)::float8 as records from shard');
    if (rows[0].records >= sent) return;
    if (performance.now() > deadline)
      throw new Error(`only ${rows[0].records} of ${sent} records are stored`);
    await Bun.sleep(POLL_MS);
  }
}

async function reconcile(...words: readonly string[]) {
  const { exitCode, output } = await installation.run('reconcile', '--json', ...words);
  const lines = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  return { exitCode, output, ads: lines.filter(({ kind }) => kind === 'ad') };
}

/** `[valid, repeat, givt]` by window. */
async function counts(): Promise<Record<string, number[]>> {
  const { rows } = await pool.query('select * from ad_minute order by ad_id, minute');
  return Object.fromEntries(
    rows.map((row) => [
      `${row.ad_id} ${(row.minute.getTime() - minute) / MINUTE_MS}`,
      [row.valid, row.repeat, row.givt].map(Number),
    ]),
  );
}

const LIVE = { 'hats 0': [1, 0, 0], 'shoes 0': [3, 0, 0], 'shoes 1': [0, 1, 0] };
const JUDGED_AGAIN = { 'hats 0': [0, 0, 1], 'shoes 0': [1, 0, 2], 'shoes 1': [1, 0, 0] };

test('clicks are judged again: shown by ad, then for good, and no later recount takes it back', {
  timeout: TIMEOUT_MS,
}, async () => {
  const impression_id = id(90);
  const at = (number: number, event_time_ms: number, more: Click): Click => {
    return { click_id: id(number, event_time_ms), event_time_ms, ...more };
  };
  await send(
    at(1, minute, { ad_id: 'shoes', user_agent: PAGE_TEST }),
    at(2, minute, { ad_id: 'shoes', user_agent: PERSON }),
    // A person's click is a repeat only as long as the program's before it is billable.
    at(3, minute, { ad_id: 'shoes', user_agent: PAGE_TEST, impression_id }),
    at(4, next, { ad_id: 'shoes', user_agent: PERSON, impression_id }),
    at(5, minute, { ad_id: 'hats', user_agent: PAGE_TEST }),
  );
  expect(await counts()).toEqual(LIVE);

  const dry = await reconcile('--rules', '2');
  expect(dry.exitCode).toBe(1);
  expect(dry.ads).toMatchObject([
    { ad_id: 'hats', windows: 1, before: { valid: '1', givt: '0' }, after: { valid: '0', givt: '1' } },
    { ad_id: 'shoes', windows: 2, before: { valid: '3', repeat: '1' }, after: { valid: '2', givt: '2' } },
  ]);
  expect(await counts()).toEqual(LIVE);
  expect((await reconcile()).exitCode).toBe(0);

  const text = await installation.run('reconcile', '--rules', '2', '--ads', 'hats');
  expect(text.output).toMatch(/hats +1 +valid 1 -> 0, givt 0 -> 1/);

  expect((await reconcile('--rules', '2', '--apply')).exitCode).toBe(0);
  expect(await counts()).toEqual(JUDGED_AGAIN);
  expect((await reconcile()).exitCode).toBe(0);
  expect((await reconcile('--apply')).exitCode).toBe(0);
  expect(await counts()).toEqual(JUDGED_AGAIN);
  const { restatements } = await audits.call('ListRestatements', {});
  expect(new Set(restatements.map(({ cause, rule_set_version }) => `${cause} ${rule_set_version}`))).toEqual(
    new Set(['RECLASSIFY 2']),
  );
  expect(restatements).toHaveLength(3);
});

test('audits go by what was decided', { timeout: TIMEOUT_MS }, async () => {
  const window = { ad_id: 'shoes', minute_ms: minute };
  expect(await audits.call('GetWindowProof', window)).toMatchObject({ rule_set_version: 2 });
  expect(await audits.call('VerifyWindow', window)).toMatchObject({ verdict: 'EQUAL' });
  const { records } = await audits.call('GetClick', { click_id: id(1) });
  expect(records).toMatchObject([{ disposition: 'GIVT', reason: 'user_agent_bot' }]);
});

test('a late click is judged by the rules in force, and by the decision when it is recounted', {
  timeout: TIMEOUT_MS,
}, async () => {
  await send({ ad_id: 'hats', click_id: id(6), event_time_ms: minute, user_agent: PAGE_TEST });
  expect((await counts())['hats 0']).toEqual([1, 0, 1]);
  expect((await reconcile()).exitCode).toBe(1);
  expect((await reconcile('--apply')).exitCode).toBe(0);
  expect((await counts())['hats 0']).toEqual([0, 0, 2]);
});

test('clicks that are yet to be made are not judged again, whatever --to says', {
  timeout: TIMEOUT_MS,
}, async () => {
  const at = (ms: number) => new Date(Date.now() + ms).toISOString();
  expect((await reconcile('--rules', '2', '--from', '-1m', '--to', at(HOUR_MS), '--apply')).exitCode).toBe(0);
  await send({ ad_id: 'hats', click_id: id(10, Date.now()), event_time_ms: minute, user_agent: PAGE_TEST });
  expect((await reconcile()).exitCode).toBe(0);
  const ahead = await reconcile('--rules', '2', '--from', at(HOUR_MS), '--to', at(2 * HOUR_MS), '--apply');
  expect([ahead.exitCode, ahead.output]).toEqual([2, expect.stringContaining('right is an earlier --from')]);
});

test('what is adopted judges clicks that are made from then on', { timeout: TIMEOUT_MS }, async () => {
  // A click of now: `closed_until`, from which on rules are adopted, lies beyond all that was judged again.
  await send({ ad_id: 'hats', click_id: id(9, Date.now()), event_time_ms: minute - MINUTE_MS });
  const adopted = await installation.run('rules', 'adopt', '2');
  expect(adopted.output).toContain('UTC on are judged by rule set 2');
  const routing = new RoutingLog(broker.client, broker.manager);
  await routing.read();
  const [{ fromMs } = { fromMs: 0 }] = routing.table.adoptedRules;
  const of = (number: number, timeMs: number): Click => {
    return { ad_id: 'hats', click_id: id(number, timeMs), event_time_ms: next, user_agent: PAGE_TEST };
  };
  await send(of(7, fromMs - 1), of(8, fromMs));
  expect((await counts())['hats 1']).toEqual([1, 0, 1]);
  expect((await reconcile()).exitCode).toBe(0);
});

test('a rule set that is not known, or rules with what does not go with them, are refused with words', async () => {
  expect((await reconcile('--rules', '7')).output).toContain('Right is one of 1, 2');
  expect((await reconcile('--rules', '2', '--settle')).output).toContain('without --settle');
});
