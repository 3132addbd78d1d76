/** An export through a real query process: its memory does not grow with the rows of the file. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queryClient } from '../../src/adapters/grpc/clients.ts';
import { DayPartitions } from '../../src/adapters/postgres/dayPartitions.ts';
import type { ExportAggregatesResponse__Output } from '../../src/contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { ExportFormat } from '../../src/query/exportAnswers.ts';
import { Installation } from './installation.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const FROM_MS = Date.UTC(2024, 1, 1);
const ADS = 1_000;
const DAYS = 10;
/** The larger export has so many times the rows of the smaller one. */
const TIMES = 10;
/** 240,000 rows held at once are 127 more; what a runtime collects late is less (5 to 42 MiB). */
const GROWTH_MAX_MIB = 80;

let installation: Installation;
beforeAll(async () => {
  installation = await Installation.start();
  const pool = new Pool({ connectionString: await installation.databaseUrl() });
  await new DayPartitions(pool).ensure(Array.from({ length: DAYS }, (_, day) => FROM_MS + day * DAY_MS));
  await pool.query(
    `insert into ad_hour (ad_id, hour, valid, repeat, givt, sivt, defective, test)
     select 'ad-' || number, hour, 1 + number, 2, 3, 4, 5, 6
     from generate_series(0, $1 - 1) as number,
       generate_series(to_timestamp($2::float8 / 1000), to_timestamp($3::float8 / 1000), interval '1 hour') as hour`,
    [ADS, FROM_MS, FROM_MS + DAYS * DAY_MS - HOUR_MS],
  );
  await pool.query('vacuum analyze ad_hour');
  await pool.end();
}, 120_000);
afterAll(() => installation?.remove());

describe('the memory of the query process', { timeout: 240_000 }, () => {
  test.each<ExportFormat>(['CSV', 'NDJSON', 'PARQUET'])(
    'stays while ten times the rows leave as %s',
    async (format) => {
      await peakOf(format, ADS / TIMES);
      const small = await peakOf(format, ADS / TIMES);
      const large = await peakOf(format, ADS);
      expect([small.rows, large.rows]).toEqual([(ADS / TIMES) * DAYS * 24, ADS * DAYS * 24]);
      expect(large.peakMiB - small.peakMiB).toBeLessThan(GROWTH_MAX_MIB);
    },
  );
});

/** Exports the hours of so many ads, and keeps nothing of them. */
async function peakOf(format: ExportFormat, ads: number): Promise<{ rows: number; peakMiB: number }> {
  const pid = await queryProcess();
  // Linux begins anew with the peak.
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  const client = queryClient(installation.queryAddress);
  try {
    const ad_ids = Array.from({ length: ads }, (_, number) => `ad-${number}`);
    const range = { from_ms: FROM_MS, to_ms: FROM_MS + DAYS * DAY_MS };
    let rows = 0;
    const call = client.exportAggregates({ query: { ad_ids, ...range, granularity: 'HOUR' }, format });
    for await (const part of call as AsyncIterable<ExportAggregatesResponse__Output>) rows = part.rows;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return { rows, peakMiB: Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024 };
  } finally {
    client.close();
  }
}

async function queryProcess(): Promise<number> {
  const processes = JSON.parse(await readFile(path.join(installation.directory, 'processes.json'), 'utf8'));
  return processes.query.pid;
}
