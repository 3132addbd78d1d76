/** `clickledger export` as a shell sees it, against a scripted query service: a file that is whole, or none. */
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClickQueryService } from '../../src/adapters/grpc/contract.ts';
import type { ExportAggregatesRequest__Output } from '../../src/contract/generated/clickledger/v1/ExportAggregatesRequest.ts';
import type { ExportAggregatesResponse as Part } from '../../src/contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { Answers } from '../../src/query/answers.ts';
import { queryService } from '../../src/query/queryService.ts';
import { serve } from '../support/grpcServer.ts';
import { SilentLog } from '../support/silentLog.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const CONTENT = 'ad_id,clicks\r\nshoes,3\r\n';
const MANIFEST = {
  rows: 1,
  bytes: CONTENT.length,
  sha256: new Bun.CryptoHasher('sha256').update(CONTENT).digest('hex'),
};

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'clickledger-export-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** The command against a service that exports so. */
async function begin(work: () => AsyncGenerator<Part>, ...words: string[]) {
  const asked: ExportAggregatesRequest__Output[] = [];
  const exportAggregates: Answers['exportAggregates'] = (request) => {
    asked.push(request);
    return work();
  };
  const answers = { exportAggregates } as unknown as Answers;
  const address = await serve((server) =>
    server.addService(ClickQueryService.service, queryService({ answers, log: new SilentLog() })),
  );
  const child = Bun.spawn([process.execPath, MAIN, 'export', ...words], {
    cwd: folder,
    env: {
      CLICKLEDGER_DATA_DIR: path.join(folder, 'none'),
      CLICKLEDGER_QUERY_PORT: address.split(':')[1] ?? '',
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const ended = Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { child, ended, asked };
}

async function* whole(): AsyncGenerator<Part> {
  yield { chunk: Buffer.from(CONTENT.slice(0, 9)), rows: 1, progress: 0.5 };
  yield { chunk: Buffer.from(CONTENT.slice(9)), rows: 1, progress: 1 };
  yield { manifest: MANIFEST, rows: 1, progress: 1 };
}

describe('an export', () => {
  test('that is whole takes its place, in the format that its name says', async () => {
    const { ended, asked } = await begin(
      whole,
      '--ads',
      'shoes,hats',
      '--from',
      '2026-01-01',
      '--to',
      '2026-01-02',
      '-o',
      'counts.csv',
    );
    const [exitCode, out, error] = await ended;
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: '' });
    expect(error).toContain(`1 row, 0.0 MB in counts.csv\nSHA-256 ${MANIFEST.sha256}`);
    expect(await readFile(path.join(folder, 'counts.csv'), 'utf8')).toBe(CONTENT);
    expect(await readdir(folder)).toEqual(['counts.csv']);
    expect(asked).toMatchObject([
      {
        format: 'CSV',
        query: {
          ad_ids: ['shoes', 'hats'],
          from_ms: Date.UTC(2026, 0, 1),
          to_ms: Date.UTC(2026, 0, 2),
          granularity: 'MINUTE',
        },
      },
    ]);
  });

  test('asks what the query command asks: of all ads, divided, filtered, by the clock of a zone', async () => {
    const words =
      '--from 2026-01-01 --to 2026-02-01 --granularity day --time-zone Asia/Kathmandu --group-by country --filter device_type!=bot --metrics clicks,gross_clicks --min-status settled -o counts.csv';
    const { ended, asked } = await begin(whole, ...words.split(' '));
    expect((await ended)[0]).toBe(0);
    expect(asked).toMatchObject([
      {
        query: {
          ad_ids: [],
          from_ms: Date.UTC(2025, 11, 31, 18, 15),
          to_ms: Date.UTC(2026, 0, 31, 18, 15),
          granularity: 'DAY',
          time_zone: 'Asia/Kathmandu',
          group_by: ['country'],
          filters: [{ dimension: 'device_type', include: [], exclude: ['bot'] }],
          metrics: ['clicks', 'gross_clicks'],
          min_status: 'SETTLED',
        },
      },
    ]);
  });

  test.each([
    ['--campaigns', 'campaign_ids'],
    ['--advertisers', 'advertiser_ids'],
  ])('of %s is one of those', async (option, field) => {
    const { ended, asked } = await begin(whole, option, 'spring,autumn', '-o', 'counts.csv');
    expect((await ended)[0]).toBe(0);
    expect(asked).toMatchObject([{ query: { ad_ids: [], [field]: ['spring', 'autumn'] } }]);
  });

  test('to standard output is the file alone', async () => {
    const [exitCode, out] = await (await begin(whole, '--format', 'csv', '-o', '-')).ended;
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: CONTENT });
  });

  test.each<[string, () => AsyncGenerator<Part>, number, string]>([
    [
      'whose bytes are not those of the manifest',
      async function* () {
        yield { chunk: Buffer.from(CONTENT.replace('3', '4')), rows: 1, progress: 1 };
        yield { manifest: MANIFEST, rows: 1, progress: 1 };
      },
      1,
      `the manifest says ${CONTENT.length} with ${MANIFEST.sha256}; nothing was written`,
    ],
    [
      'without a manifest',
      async function* () {
        yield { chunk: Buffer.from(CONTENT), rows: 1, progress: 1 };
      },
      1,
      'the export ended without its manifest; nothing was written',
    ],
    [
      'that breaks off',
      async function* () {
        yield { chunk: Buffer.from(CONTENT), rows: 1, progress: 0.5 };
        throw new Error('of the inside');
      },
      2,
      'the counts cannot be read now',
    ],
  ])('%s leaves what stood there, and nothing else', async (_what, work, exitCode, words) => {
    await writeFile(path.join(folder, 'counts.csv'), 'yesterday');
    const [found, , error] = await (await begin(work, '-o', 'counts.csv')).ended;
    expect(error).toContain(words);
    expect(found).toBe(exitCode);
    expect(await readdir(folder)).toEqual(['counts.csv']);
    expect(await readFile(path.join(folder, 'counts.csv'), 'utf8')).toBe('yesterday');
  });

  test('that is interrupted leaves nothing, and says so with its exit code', async () => {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const { child, ended } = await begin(
      async function* () {
        yield { chunk: Buffer.from(CONTENT), rows: 1, progress: 0.5 };
        resolve();
        await new Promise(() => undefined);
      },
      '-o',
      'counts.csv',
    );
    await begun;
    child.kill('SIGINT');
    const [exitCode, , error] = await ended;
    expect(error).toContain('stopped; nothing was written');
    expect(exitCode).toBe(130);
    expect(await readdir(folder)).toEqual([]);
  });

  test.each<[string, (place: string) => Promise<unknown>]>([
    ['a folder', (place) => mkdir(place)],
    // As any other thing that is no file, such as a device.
    ['a pipe', (place) => Bun.spawn(['mkfifo', place]).exited],
  ])('to %s is refused before anything is asked, and leaves it there', async (_what, make) => {
    const place = path.join(folder, 'counts.csv');
    await make(place);
    const { ino } = await stat(place);
    const { ended, asked } = await begin(whole, '-o', 'counts.csv');
    const [exitCode, , error] = await ended;
    expect(error).toContain('-o "counts.csv" cannot be written: what stands there is no file');
    expect(exitCode).toBe(2);
    expect(asked).toEqual([]);
    expect([await readdir(folder), (await stat(place)).ino]).toEqual([['counts.csv'], ino]);
  });

  test('to a link is written where it leads to', async () => {
    await writeFile(path.join(folder, 'there.csv'), 'yesterday');
    await symlink('there.csv', path.join(folder, 'counts.csv'));
    const { ended } = await begin(whole, '-o', 'counts.csv');
    expect((await ended)[0]).toBe(0);
    expect(await readlink(path.join(folder, 'counts.csv'))).toBe('there.csv');
    expect(await readFile(path.join(folder, 'there.csv'), 'utf8')).toBe(CONTENT);
  });

  test.each<[string[], string]>([
    [
      ['-o', 'counts.xls'],
      '-o counts.xls does not say which format: right is a name that ends in .csv, .ndjson, .parquet',
    ],
    [['-o', 'none/counts.csv'], '-o "none/counts.csv" cannot be written: ENOENT'],
    [['--format', 'csv', '-o', ''], '-o "" cannot be written: it is no name of a file'],
    [['--format', 'csv', '-o', 'none/'], '-o "none/" cannot be written: it is no name of a file'],
    [['-o', 'a.csv', '--from', 'now', '--to', '-1d'], 'is not before'],
  ])('with %j is refused before anything is asked', async (words, message) => {
    const { ended, asked } = await begin(whole, ...words);
    const [exitCode, , error] = await ended;
    expect(error).toContain(message);
    expect(exitCode).toBe(2);
    expect(asked).toEqual([]);
  });
});
