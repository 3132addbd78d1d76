/** ExportAggregates through the wire, over a real PostgreSQL: every row once, as of one moment, in constant memory. */
import { type ClientReadableStream, credentials, status } from '@grpc/grpc-js';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import { openRows } from '../../src/adapters/postgres/exportRows.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import { csvTable } from '../../src/adapters/tables/csvTable.ts';
import { ndjsonTable } from '../../src/adapters/tables/ndjsonTable.ts';
import { parquetTable } from '../../src/adapters/tables/parquetTable.ts';
import type { ExportAggregatesRequest } from '../../src/contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportAggregatesResponse__Output as Part } from '../../src/contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { Timers } from '../../src/domain/timers.ts';
import type { Answers } from '../../src/query/answers.ts';
import { exportAnswers } from '../../src/query/exportAnswers.ts';
import { queryService } from '../../src/query/queryService.ts';
import { emptyLedger, type Ledger, openLedger } from '../adapters/postgres/ledger.ts';
import { serve } from '../support/grpcServer.ts';
import { SilentLog } from '../support/silentLog.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2024, 1, 29);

let ledger: Ledger;
beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(() => emptyLedger(ledger));

/** So many ads with a row each minute of a day. */
async function fill(ads: number): Promise<void> {
  await ledger.pool.query(
    `create table exported_day partition of ad_minute for values from ('2024-02-29Z') to ('2024-03-01Z')`,
  );
  await ledger.pool.query(
    `insert into ad_minute (ad_id, minute, valid, repeat, givt, sivt, defective, test, fingerprint_high, fingerprint_low)
     select 'ad, "' || ad || '"', minute, ad, 2, 3, 4, 5, 6, 0, 0
     from generate_series(1, $1) as ad,
       generate_series(timestamptz '2024-02-29Z', timestamptz '2024-02-29 23:59Z', '1 minute') as minute
     order by random()`,
    [ads],
  );
  await ledger.pool.query(
    `create table exported_hours partition of ad_hour for values from ('2024-02-29Z') to ('2024-03-01Z')`,
  );
  await ledger.pool.query(
    `insert into ad_hour (ad_id, hour, valid, repeat, givt, sivt, defective, test)
     select ad_id, date_trunc('hour', minute), sum(valid), sum(repeat), sum(givt), sum(sivt), sum(defective), sum(test)
     from ad_minute group by 1, 2`,
  );
}

const adsUpTo = (ads: number) => Array.from({ length: ads }, (_, index) => `ad, "${index + 1}"`);

async function setUp(timers: Timers = systemTimers) {
  const log = new SilentLog();
  const exportAggregates = exportAnswers({
    openRows: (...asked) => openRows(ledger.pool, ...asked),
    readAds: async () => [],
    formats: { CSV: csvTable, NDJSON: ndjsonTable, PARQUET: parquetTable },
    timers,
  });
  const answers = { exportAggregates } as unknown as Answers;
  const address = await serve((server) =>
    server.addService(ClickQueryService.service, queryService({ answers, log })),
  );
  const client = new ClickQueryService(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return { client, log };
}

type Client = Awaited<ReturnType<typeof setUp>>['client'];

function requestFor(ads: number, changes: ExportAggregatesRequest['query'] = {}): ExportAggregatesRequest {
  const query = {
    ad_ids: adsUpTo(ads),
    from_ms: START_MS,
    to_ms: START_MS + DAY_MS,
    granularity: 'MINUTE' as const,
  };
  return { query: { ...query, ...changes }, format: 'CSV' };
}

async function fileFrom(call: ClientReadableStream<Part>) {
  const chunks: Buffer[] = [];
  const parts: Part[] = [];
  for await (const part of call as AsyncIterable<Part>) {
    parts.push(part);
    if (part.chunk != null) chunks.push(part.chunk as Buffer);
  }
  return { file: Buffer.concat(chunks), chunks, manifest: parts.at(-1)?.manifest, parts };
}

const ask = (client: Client, request: ExportAggregatesRequest) => fileFrom(client.exportAggregates(request));
const refusal = (client: Client, request: ExportAggregatesRequest) =>
  ask(client, request).catch((error: unknown) => error);

async function openTransactions(): Promise<number> {
  const { rows } = await ledger.pool.query(
    `select count(*)::integer as open from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`,
  );
  return rows[0].open;
}

const untilOpen = (count: number) =>
  vi.waitFor(async () => expect(await openTransactions()).toBe(count), { timeout: 10_000 });

describe('an export', () => {
  test('has every row once, by ad and then by time, in pieces of 64 KiB, and says what the file must be', async () => {
    await fill(3);
    const { client } = await setUp();
    const { file, chunks, manifest, parts } = await ask(client, requestFor(3));
    const [names, ...rows] = parse(file) as string[][];
    expect(names).toEqual([
      'ad_id',
      'from_time',
      'to_time',
      'from_ms',
      'to_ms',
      'gross_clicks',
      'clicks',
      'repeat_clicks',
      'general_invalid_clicks',
      'sophisticated_invalid_clicks',
      'defective_clicks',
      'test_clicks',
      'repeat_rate',
      'invalid_rate',
      'status',
      'revision',
    ]);
    const expected = adsUpTo(3).flatMap((ad, index) =>
      Array.from({ length: 1_440 }, (_, minute) => {
        const fromMs = START_MS + minute * MINUTE_MS;
        const gross = index + 10;
        const time = (ms: number) => new Date(ms).toISOString();
        return [
          [
            ad,
            time(fromMs),
            time(fromMs + MINUTE_MS),
            fromMs,
            fromMs + MINUTE_MS,
            gross,
            index + 1,
            2,
            3,
            4,
            5,
            6,
          ],
          [2 / gross, 7 / gross, 'PROVISIONAL', 0],
        ]
          .flat()
          .map(String);
      }),
    );
    expect(rows).toEqual(expected);
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.slice(0, -1).every(({ length }) => length === 65_536)).toBe(true);
    expect(chunks.at(-1)?.length).toBeLessThanOrEqual(65_536);
    expect(manifest).toMatchObject({
      rows: 4_320,
      bytes: file.length,
      sha256: new Bun.CryptoHasher('sha256').update(file).digest('hex'),
    });
    expect(parts.at(-1)).toMatchObject({ rows: 4_320, progress: 1 });
    const progress = parts.map((part) => part.progress);
    expect(progress).toEqual(progress.toSorted((left, right) => left - right));
  });

  test('says how far it is within a few ads, too', async () => {
    await fill(5);
    const { client } = await setUp();
    const { parts } = await ask(client, requestFor(5));
    // A portion has 5,000 of the 7,200 rows.
    expect([...new Set(parts.map(({ progress }) => Math.round(progress * 7_200)))]).toEqual([
      0, 5_000, 7_200,
    ]);
  });

  test('adds minutes up to wider rows, cut to the range', async () => {
    await fill(2);
    const { client } = await setUp();
    const from_ms = START_MS + 30 * MINUTE_MS;
    const { file, manifest } = await ask(client, {
      ...requestFor(2, { from_ms, granularity: 'HOUR' }),
      format: 'NDJSON',
    });
    const rows = file
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(48);
    expect(manifest?.rows).toBe(48);
    expect(rows[0]).toMatchObject({
      ad_id: 'ad, "1"',
      from_ms,
      to_ms: START_MS + 60 * MINUTE_MS,
      clicks: 30,
    });
    expect(rows[25]).toMatchObject({ ad_id: 'ad, "2"', from_ms: START_MS + 60 * MINUTE_MS, clicks: 120 });
  });

  test('is of one moment: what is counted while it is read is not in it', async () => {
    await fill(40);
    const { client } = await setUp();
    const call = client.exportAggregates(requestFor(40));
    const first = Promise.withResolvers<void>();
    call.once('data', () => {
      call.pause();
      first.resolve();
    });
    await first.promise;
    await ledger.pool.query('update ad_minute set valid = valid + 1000000');
    const rest = await fileFrom(call);
    expect(rest.manifest?.rows).toBe(40 * 1_440);
    expect(rest.file.toString()).not.toMatch(/,10000\d\d,/);
  });

  test('says which minute has not the status that is needed, and gives nothing', async () => {
    await fill(1);
    const { client } = await setUp();
    const settled = requestFor(1, { min_status: 'SETTLED' });
    expect(await refusal(client, settled)).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining('no minute is settled yet'),
    });
    await ledger.pool.query(
      `update settlement set watched_through = '2024-03-01Z', settled_through = '2024-03-01Z', closed_through = '2024-02-29 12:00Z'`,
    );
    const { file, manifest } = await ask(client, settled);
    const rows = parse(file, { columns: true }) as Record<string, string>[];
    expect(rows.map((row) => row['status'])).toEqual(
      Array.from({ length: 1_440 }, (_, minute) => (minute < 720 ? 'FINAL' : 'SETTLED')),
    );
    expect(manifest?.info).toMatchObject({
      settled_through_ms: START_MS + DAY_MS,
      final_through_ms: START_MS + DAY_MS / 2,
    });
    await ledger.pool.query(
      `insert into drift (ad_id, minute, run) values ('ad, "1"', '2024-02-29 13:00Z', 1)`,
    );
    expect(await refusal(client, settled)).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining('2024-02-29T13:00:00.000Z is PROVISIONAL'),
    });
  });

  test.each<[string, ExportAggregatesRequest, string]>([
    ['no question', { format: 'CSV' }, 'query is missing'],
    ['no format', { query: requestFor(1).query ?? null }, 'must be one of CSV, NDJSON, PARQUET'],
    ['pages', requestFor(1, { page_size: 5 }), 'query.page_size is not for exports'],
    ['a moment', requestFor(1, { as_of_ms: START_MS }), 'query.as_of_ms is not for exports'],
    ['a time off the minute', requestFor(1, { from_ms: 1 }), 'from_ms 1 is wrong'],
  ])('with %s is refused, and the error names the field', async (_what, request, details) => {
    const { client } = await setUp();
    expect(await refusal(client, request)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(details),
    });
  });

  test('that is cancelled between two pieces gives its connection back', async () => {
    await fill(40);
    const { client } = await setUp();
    const call = client.exportAggregates(requestFor(40));
    call.on('error', () => undefined);
    await new Promise((resolve) => call.once('data', resolve));
    call.pause();
    await untilOpen(1);
    call.cancel();
    await untilOpen(0);
  });

  test('that is cancelled while a statement runs ends the statement; more than 2 at a time are refused', async () => {
    const { client } = await setUp();
    const locker = await ledger.pool.connect();
    await locker.query('begin; lock table drift in access exclusive mode');
    const waiting = [1, 2].map(() => client.exportAggregates(requestFor(1)).on('error', () => undefined));
    await untilOpen(3);
    expect(await refusal(client, requestFor(1))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('at most 2 exports'),
    });
    for (const call of waiting) call.cancel();
    await untilOpen(1);
    await locker.query('rollback');
    locker.release();
    expect((await ask(client, requestFor(1))).manifest?.rows).toBe(0);
  });

  test('whose reader takes nothing for long ends, and holds no snapshot', async () => {
    await fill(40);
    const { promise: late, resolve: beLate } = Promise.withResolvers<void>();
    const timers: Timers = { ...systemTimers, pause: (_ms, stop) => Promise.race([late, abortOf(stop)]) };
    const { client } = await setUp(timers);
    const call = client.exportAggregates(requestFor(40));
    const ended = new Promise<unknown>((resolve) => call.once('error', resolve));
    const begun = new Promise((resolve) => call.once('data', resolve));
    await begun;
    call.pause();
    await untilOpen(1);
    beLate();
    await untilOpen(0);
    call.resume();
    expect(await ended).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  });
});

function abortOf(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
}
