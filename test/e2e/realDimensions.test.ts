/**
 * Real clicks by hour, day and month of three time zones and by their dimensions: every answer equals what a program of
 * other people's parts (Python's csv and zoneinfo) counts from the same file, over all ads together and over named ones.
 *
 * The file is not ours to ship: it lies beside the project where these tests are to run.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type QueryClient, queryClient } from '../../src/adapters/grpc/clients.ts';
import type { QueryAggregatesRequest } from '../../src/contract/generated/clickledger/v1/QueryAggregatesRequest.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';

const FILE = path.resolve(import.meta.dirname, '../../../shared/data/talkingdata-clicks.csv.gz');
const PROGRAM = path.join(import.meta.dirname, 'dimensions_of_clicks.py');
const MAP = 'ad_id=app,event_time=click_time,publisher_id=channel,device_type=device,os=os,ip=ip';
const ROWS = 60_035;
const RANGE = { from_ms: Date.UTC(2017, 9, 30), to_ms: Date.UTC(2017, 11, 2) };

const ZONES = ['UTC', 'Asia/Kathmandu', 'America/New_York'];
/** Columns of the file, and the dimensions that they become. */
const DIMENSIONS = { os: 'os', device: 'device_type', channel: 'publisher_id' };

/** Clicks by "value|first millisecond", under "zone granularity column". */
type Expected = Record<string, Record<string, number>>;

async function countFile(): Promise<Expected> {
  const counting = Bun.spawn(['python3', PROGRAM, FILE], { stdout: 'pipe', stderr: 'inherit' });
  const text = await new Response(counting.stdout).text();
  expect(await counting.exited).toBe(0);
  return JSON.parse(text) as Expected;
}

async function adsOfFile(): Promise<string[]> {
  const lines = gunzipSync(await Bun.file(FILE).bytes())
    .toString()
    .trim()
    .split('\n');
  return [...new Set(lines.slice(1).map((line) => line.split(',')[1] ?? ''))];
}

if (!existsSync(FILE)) process.stderr.write(`the real clicks are not at ${FILE}: their tests are skipped\n`);

describe.skipIf(!existsSync(FILE))('real clicks by their dimensions', { timeout: 120_000 }, () => {
  let installation: Installation;
  let client: QueryClient;
  let expected: Expected;
  let adIds: string[];

  beforeAll(async () => {
    installation = await Installation.start();
    client = queryClient(installation.queryAddress);
    [expected, adIds] = await Promise.all([countFile(), adsOfFile()]);
    const { exitCode } = await installation.run('import', FILE, '--map', MAP, '--create-ads');
    expect(exitCode).toBe(0);
    const counts = new Counts(installation);
    await counts.settled(adIds[0] ?? '', Date.now());
    counts.close();
  }, 120_000);

  afterAll(async () => {
    client?.close();
    await installation?.remove();
  });

  async function ask(request: QueryAggregatesRequest): Promise<Record<string, number>> {
    let answer = await client.queryAggregates({ ...RANGE, ...request });
    // An owner was away: that is no answer to a test.
    while (answer.info?.partial) answer = await client.queryAggregates({ ...RANGE, ...request });
    const { rows } = answer;
    return Object.fromEntries(
      rows.map(({ group, from_ms, metrics }) => [`${group[0]?.value}|${from_ms}`, metrics?.clicks ?? 0]),
    );
  }

  const questions = ZONES.flatMap((time_zone) =>
    (['HOUR', 'DAY', 'MONTH'] as const).map((granularity) => [granularity, time_zone] as const),
  );

  test.each(questions)('every %s of %s is exact', async (granularity, time_zone) => {
    for (const [column, dimension] of Object.entries(DIMENSIONS)) {
      const plain = expected[`${time_zone} ${granularity} ${column}`] ?? {};
      expect(Object.values(plain).reduce((sum, clicks) => sum + clicks, 0)).toBe(ROWS);
      // A month that the range cuts begins where the range does.
      const cut = Object.entries(plain).map(([key, clicks]) => {
        const [value, startMs] = key.split('|');
        return [`${value}|${Math.max(Number(startMs), RANGE.from_ms)}`, clicks] as const;
      });
      const wanted = Object.fromEntries(cut);
      expect(await ask({ granularity, time_zone, group_by: [dimension] })).toEqual(wanted);
      expect(await ask({ granularity, time_zone, group_by: [dimension], ad_ids: adIds })).toEqual(wanted);
    }
  });

  test('the largest are those of the file, of one dimension and of ads', async () => {
    for (const [column, dimension] of Object.entries(DIMENSIONS)) {
      const clicks = new Map<string, number>();
      for (const [key, count] of Object.entries(expected[`UTC MONTH ${column}`] ?? {})) {
        const [value = ''] = key.split('|');
        clicks.set(value, (clicks.get(value) ?? 0) + count);
      }
      const largest = [...clicks]
        .sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
        .slice(0, 10);
      // What the owners have not flushed yet is not in it.
      await expect
        .poll(async () => (await client.topN({ ...RANGE, dimension })).total?.clicks, { timeout: 60_000 })
        .toBe(ROWS);
      const { entries } = await client.topN({ ...RANGE, dimension });
      expect(entries.map(({ value, metrics }) => [value, metrics?.clicks])).toEqual(largest);
    }
  });
});
