/**
 * Imports against a gateway that breaks in scripted ways. What must hold in each of them: every row of the file is
 * in the report exactly once, and every row that the report calls accepted was taken by the gateway.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isServiceError } from '../../src/adapters/grpc/callError.ts';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { AdRegistrar } from '../../src/cli/import/adRegistrar.ts';
import type { SenderOptions } from '../../src/cli/import/clickSender.ts';
import { mapColumns, parseMap } from '../../src/cli/import/columnMapping.ts';
import { CsvFile } from '../../src/cli/import/csvFile.ts';
import { ImportReport } from '../../src/cli/import/importReport.ts';
import { type ImportOutcome, runImport } from '../../src/cli/import/runImport.ts';
import { type GatewayScript, ScriptedGateway } from './scriptedGateway.ts';

let folder = '';
const closers: (() => void)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'clickledger-import-'));
});

afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await rm(folder, { recursive: true });
});

/** A file of `rows` clicks, a minute apart, over three ads. */
async function clickFile(rows: number, name = 'clicks.csv'): Promise<string> {
  const lines = Array.from({ length: rows }, (_, index) => {
    const time = new Date(1_509_984_000_000 + index * 60_000).toISOString();
    return `ad-${index % 3},${time},publisher-${index % 2}`;
  });
  return file(['ad_id,event_time,publisher_id', ...lines].join('\n'), name);
}

async function file(content: string | Uint8Array, name = 'clicks.csv'): Promise<string> {
  const filePath = path.join(folder, name);
  await writeFile(filePath, content);
  return filePath;
}

interface Wishes {
  readonly batchRows?: number;
  readonly createAds?: boolean;
  readonly sending?: Partial<Omit<SenderOptions, 'onAnswer'>>;
  readonly signal?: AbortSignal;
}

interface Result {
  readonly gateway: ScriptedGateway;
  readonly report: ImportReport;
  readonly outcome: ImportOutcome;
}

async function gatewayWith(script: GatewayScript): Promise<ScriptedGateway> {
  const gateway = await ScriptedGateway.start(script);
  closers.push(() => gateway.stop());
  return gateway;
}

async function importInto(
  gateway: ScriptedGateway,
  input: string | CsvFile,
  wishes: Wishes = {},
): Promise<Result> {
  const client = ingestClient(gateway.address);
  const catalog = catalogClient(gateway.address);
  closers.push(
    () => client.close(),
    () => catalog.close(),
  );
  const csv = typeof input === 'string' ? await CsvFile.open(input) : input;
  const report = new ImportReport();
  const retrying = { retryForMs: 20_000, nowMs: () => performance.now(), onTrouble: () => {} };
  const registrar = new AdRegistrar({
    ...retrying,
    catalog,
    destinationTemplate: 'https://example.com/{ad_id}',
    pause: (ms) => Bun.sleep(ms),
  });
  const outcome = await runImport(
    {
      file: csv,
      fileName: csv.name,
      mapping: mapColumns(csv.header, parseMap([])),
      batchRows: wishes.batchRows ?? 10,
      registrar: wishes.createAds === true ? registrar : undefined,
      report,
      sending: {
        ...retrying,
        openStream: () => client.streamIngestClicks(),
        source: 'test',
        windowBatches: 4,
        answerTimeoutMs: 10_000,
        ...wishes.sending,
      },
    },
    wishes.signal ?? new AbortController().signal,
  );
  return { gateway, report, outcome };
}

async function importRows(rows: number, script: GatewayScript, wishes: Wishes = {}): Promise<Result> {
  return importInto(await gatewayWith(script), await clickFile(rows), wishes);
}

function expectAllAccepted({ gateway, report, outcome }: Result, rows: number): void {
  expect(outcome).toEqual({ kind: 'complete' });
  expect({ accepted: report.accepted, rejected: report.rejected }).toEqual({ accepted: rows, rejected: 0 });
  expect(gateway.taken.size).toBe(rows);
}

describe('an import', () => {
  it('answers for every row once and puts the columns where they belong', async () => {
    const result = await importRows(105, {});
    expectAllAccepted(result, 105);
    expect([...result.gateway.taken.values()].every((times) => times === 1)).toBe(true);
    expect(result.gateway.clicks[4]).toMatchObject({
      ad_id: 'ad-1',
      event_time_ms: 1_509_984_240_000,
      publisher_id: 'publisher-0',
    });
    expect(result.gateway.clicks[4]).not.toHaveProperty('user_agent');
  });

  it('sends the same click ids when the file is imported again, from another folder too', async () => {
    const gateway = await gatewayWith({});
    await importInto(gateway, await clickFile(40));
    const before = [...gateway.taken.keys()];
    folder = await mkdtemp(path.join(folder, 'elsewhere-'));
    await importInto(gateway, await clickFile(40));
    expect([...gateway.taken.keys()]).toEqual(before);
    folder = path.dirname(folder);
  });

  it('tells a packed file by its first bytes, not by its name', async () => {
    const plain = await Bun.file(await clickFile(30)).bytes();
    const gateway = await gatewayWith({});
    expectAllAccepted(await importInto(gateway, await file(gzipSync(plain), 'clicks.csv')), 30);
  });

  it('reads no further than it may send, so that a file of any size fits', async () => {
    const rows = 60_000;
    const filePath = await clickFile(rows);
    const csv = await CsvFile.open(filePath);
    let readBytes = 0;
    const gateway = await gatewayWith({
      beforeAnswer: async () => {
        if (gateway.requests > 4) return;
        await Bun.sleep(200);
        readBytes = csv.bytesRead;
      },
    });
    expectAllAccepted(await importInto(gateway, csv, { batchRows: 500 }), rows);
    expect(readBytes).toBeGreaterThan(0);
    expect(readBytes).toBeLessThan(csv.sizeBytes / 2);
  });

  it('never has more requests on their way than the window', async () => {
    const result = await importRows(
      200,
      { beforeAnswer: () => Bun.sleep(1) },
      { sending: { windowBatches: 3 } },
    );
    expectAllAccepted(result, 200);
    expect(result.gateway.unansweredMost).toBe(3);
  });
});

describe('when the gateway breaks', () => {
  it('dying with requests unanswered, they are sent again with the same click ids', async () => {
    const deaths = new Set([3, 9, 10]);
    const result = await importRows(300, { deed: (request) => (deaths.has(request) ? 'die' : 'answer') });
    expectAllAccepted(result, 300);
    expect([...result.gateway.taken.values()].some((times) => times > 1)).toBe(true);
    expect(result.gateway.streams).toBeGreaterThan(1);
  });

  it('refusing for being full, it waits and sends again', async () => {
    const refusals = new Set([2, 3, 4, 8]);
    const full: GatewayScript = {
      deed: (request) => (refusals.has(request) ? status.RESOURCE_EXHAUSTED : 'answer'),
    };
    expectAllAccepted(await importRows(200, full), 200);
  });

  it('going silent, the stream counts as broken after the answer timeout', async () => {
    const silent: GatewayScript = { deed: (request) => (request === 2 ? 'silence' : 'answer') };
    const result = await importRows(100, silent, { sending: { answerTimeoutMs: 200 } });
    expectAllAccepted(result, 100);
    expect(result.gateway.streams).toBe(2);
  });

  it('ending the stream as if all were well, what it owes is sent again', async () => {
    const result = await importRows(100, { deed: (request) => (request === 4 ? 'end' : 'answer') });
    expectAllAccepted(result, 100);
    expect(result.gateway.streams).toBe(2);
  });

  it('staying away, it gives up after the budget and says what was acknowledged', async () => {
    let clockMs = 0;
    const troubles: number[] = [];
    const result = await importRows(
      100,
      { deed: (request) => (request <= 3 ? 'answer' : status.UNAVAILABLE) },
      {
        sending: {
          retryForMs: 60_000,
          nowMs: () => {
            clockMs += 20_000;
            return clockMs;
          },
          onTrouble: (_error, _waitMs, leftMs) => troubles.push(leftMs),
        },
      },
    );
    expect(result.outcome.kind).toBe('failed');
    if (result.outcome.kind === 'failed') expect(isServiceError(result.outcome.error)).toBe(true);
    expect(troubles).toEqual([60_000, 40_000, 20_000]);
    expect(result.report.settled).toBe(30);
    expect(result.gateway.taken.size).toBe(30);
  });

  it('refusing for good, it fails at once', async () => {
    const result = await importRows(100, { deed: () => status.INVALID_ARGUMENT });
    expect(result.outcome).toMatchObject({ kind: 'failed', error: { code: status.INVALID_ARGUMENT } });
    expect(result.gateway.streams).toBe(1);
    expect(result.report.settled).toBe(0);
  });

  it('answering with too few results, it fails rather than guess which click each is for', async () => {
    const result = await importRows(30, { deed: (request) => (request === 2 ? 'short' : 'answer') });
    expect(result.outcome).toMatchObject({
      kind: 'failed',
      error: { message: 'the gateway answered 10 clicks with 9 results' },
    });
    expect(result.report.settled).toBe(10);
  });
});

describe('a row that cannot be a click', () => {
  it('is rejected with its line and reason, and the import goes on', async () => {
    const gateway = await gatewayWith({});
    const rows = [
      'ad_id,event_time',
      'a,1509984000',
      'b,yesterday',
      'c',
      '',
      'd,2017-11-06 16:00',
      'e,tomorrow',
    ];
    const { report, outcome } = await importInto(gateway, await file(rows.join('\n')));
    expect(outcome.kind).toBe('complete');
    expect(gateway.clicks.map(({ ad_id }) => ad_id)).toEqual(['a', 'd']);
    expect(report.accepted).toBe(2);
    expect(report.reasons.map(({ count, firstLine }) => ({ count, firstLine }))).toEqual([
      { count: 2, firstLine: 3 },
      { count: 1, firstLine: 4 },
    ]);
    expect(report.reasons[0]?.firstReason).toContain('event_time "yesterday" is no time');
    expect(report.reasons[1]?.firstReason).toContain('row has 1 values; right are 2');
  });

  it('is counted apart from rows that the gateway rejects, grouped without the values', async () => {
    const known = {
      ad_id: 'ad-0',
      campaign_id: '',
      advertiser_id: '',
      destination_url: '',
      status: 'ACTIVE',
    } as const;
    const result = await importRows(30, { checksAds: true, ads: [known] });
    expect(result.report.accepted).toBe(10);
    expect(result.report.reasons).toEqual([
      { count: 20, firstLine: 3, firstReason: 'ad_id "ad-1" is not in the catalog' },
    ]);
  });

  it('stops the import where a quote is never closed, after what stood before it is answered', async () => {
    const gateway = await gatewayWith({});
    const rows = [
      'ad_id,event_time',
      ...Array.from({ length: 25 }, () => 'a,1509984000'),
      '"b,1509984000',
      'c,1',
    ];
    const { report, outcome } = await importInto(gateway, await file(rows.join('\n')));
    expect(outcome.kind).toBe('failed');
    if (outcome.kind === 'failed')
      expect(outcome.error.message).toContain('line 27: a quote is opened in this row');
    expect(report.accepted).toBe(25);
    expect(gateway.clicks).toHaveLength(25);
    const csv = await CsvFile.open(
      await file(['ad_id,event_time', ...Array.from({ length: 3 }, () => 'a,1'), '"b,1', 'c,1'].join('\n')),
    );
    await Bun.sleep(50);
    const small = await importInto(await gatewayWith({}), csv);
    expect(small.outcome).toMatchObject({
      error: { message: expect.stringContaining('line 5: a quote is opened') },
    });
    expect(small.gateway.clicks).toHaveLength(3);
  });
});

describe('the report', () => {
  it('names every column, and shows what a file says without what a terminal would obey', () => {
    const report = new ImportReport();
    report.reject(2, 'ad_id "\u001b]0;x\u0007\u009b2J" is wrong');
    const text = report.render(1_000, 120);
    expect(text).toMatch(/rows +│ outcome +│ line │ reason of the first one/);
    expect(text).toContain('ad_id "\\u001b]0;x\\u0007\\u009b2J" is wrong');
  });
});

describe('with --create-ads', () => {
  it('registers ads before their first click, and leaves those that are there as they are', async () => {
    const own = {
      ad_id: 'ad-1',
      campaign_id: 'spring',
      advertiser_id: 'acme',
      destination_url: 'https://acme.example/',
      status: 'PAUSED',
    } as const;
    const result = await importRows(90, { checksAds: true, ads: [own] }, { createAds: true });
    expectAllAccepted(result, 90);
    expect(result.gateway.catalog.get('ad-1')).toEqual(own);
    expect(result.gateway.catalog.get('ad-2')).toMatchObject({
      campaign_id: 'import',
      destination_url: 'https://example.com/ad-2',
    });
    expect(result.gateway.upserts).toEqual([['ad-0', 'ad-2']]);
  });

  it('rejects only the rows of an ad that the catalog refuses', async () => {
    const gateway = await gatewayWith({ checksAds: true });
    const rows = ['ad_id,event_time', 'a,1509984000', 'refused,1509984000', 'b,1509984000'];
    const { report } = await importInto(gateway, await file(rows.join('\n')), { createAds: true });
    expect(report.accepted).toBe(2);
    expect(report.reasons).toMatchObject([{ count: 1, firstLine: 3 }]);
    expect([...gateway.catalog.keys()]).toEqual(['a', 'b']);
  });
});

describe('stopped by Ctrl-C', () => {
  it('waits for the answers on their way, and the report is what the gateway took', async () => {
    const interrupt = new AbortController();
    let answers = 0;
    const gateway = await gatewayWith({
      beforeAnswer: async () => {
        answers += 1;
        if (answers === 5) interrupt.abort();
        await Bun.sleep(1);
      },
    });
    const { report, outcome } = await importInto(gateway, await clickFile(2_000), {
      signal: interrupt.signal,
    });
    expect(outcome).toEqual({ kind: 'interrupted' });
    expect(report.accepted).toBe(gateway.taken.size);
    expect(report.accepted).toBeGreaterThanOrEqual(50);
    expect(report.accepted).toBeLessThan(2_000);
  });

  it('does not wait for a gateway that is away', async () => {
    const interrupt = new AbortController();
    const { report, outcome } = await importRows(
      100,
      { deed: () => status.UNAVAILABLE },
      {
        signal: interrupt.signal,
        sending: { onTrouble: () => interrupt.abort() },
      },
    );
    expect(outcome).toEqual({ kind: 'interrupted' });
    expect(report.settled).toBe(0);
  });
});
