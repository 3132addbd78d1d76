/**
 * An installation whose streams have lost their oldest hours by retention: its counts are still proved from the first
 * click on, the archive answers in SQL, and a file that is damaged or gone is named rather than guessed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, readdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listShards, readStreamState } from '../../src/adapters/nats/clickStreams.ts';
import { openBroker } from '../adapters/nats/clicks.ts';
import { BUCKET, KEY, s3ForTest } from '../support/s3Server.ts';
import { Installation } from './installation.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(PROJECT, 'src/cli/main.ts');
const ARCHIVER = path.join(import.meta.dirname, 'fixtures/archiver.ts');
const REAL_FILE = path.resolve(PROJECT, '../shared/data/talkingdata-clicks.csv.gz');
const MAP = 'ad_id=app,event_time=click_time';
/** Files that are imported one after the other: so many hours. The last two come later. */
const PARTS = 12;
const ROWS = 3_000;
const COUNTED_MS = 30_000;
const MAX_AGE_MS = 8_000;
/** An hour of these tests, and its margin, are over. */
const MARGIN_MS = 500;
const KEEP_ALL_MS = 86_400_000;

/** Rows of the real file, which is not ours to ship; where it is not, made ones of the same kind. */
async function csvRows(): Promise<string[]> {
  if (existsSync(REAL_FILE))
    return gunzipSync(await Bun.file(REAL_FILE).bytes())
      .toString()
      .split('\n')
      .slice(0, ROWS + 1);
  const row = (number: number) =>
    `${number % 37},${new Date(Date.UTC(2017, 10, 7) + number * 60_000).toISOString()}`;
  return ['app,click_time', ...Array.from({ length: ROWS }, (_, number) => row(number))];
}

let installation: Installation;
let pool: Pool;
let folder: string;
let environment: NodeJS.ProcessEnv;
/** Clicks an ad, as the file has them. */
const clicksOf = new Map<string, number>();

beforeAll(async () => {
  const settings = { FLUSH_INTERVAL: '100ms', SHARDS: '2', DEDUP_HORIZON: '4s', CLICK_URL_TTL: '1s' };
  installation = await Installation.start({ ...settings, MAX_FUTURE_SKEW: '1s', STREAM_MAX_AGE: '1m' });
  pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
  pool.on('error', () => undefined);
  folder = path.join(installation.directory, 'archive');
  environment = {
    ...process.env,
    CLICKLEDGER_DATA_DIR: installation.directory,
    NATS_URL: await installation.natsUrl(),
    DATABASE_URL: await installation.databaseUrl(),
    CLICKLEDGER_ARCHIVE: folder,
  };
  const [head = '', ...rows] = await csvRows();
  const size = rows.length / PARTS;
  const place = head.split(',').indexOf('app');
  for (const row of rows) {
    const ad = row.split(',')[place] ?? '';
    clicksOf.set(ad, (clicksOf.get(ad) ?? 0) + 1);
  }
  for (let part = 0; part < PARTS; part++)
    await Bun.write(fileOf(part), [head, ...rows.slice(part * size, (part + 1) * size)].join('\n'));
  for (let part = 0; part < PARTS - 2; part++) await importPart(part);
});

const fileOf = (part: number) => path.join(installation.directory, `clicks-${part}.csv`);

/** Returns when it is counted. */
async function importPart(part: number): Promise<void> {
  const imported = await installation.run('import', fileOf(part), '--map', MAP, '--create-ads');
  expect(imported.exitCode).toBe(0);
  for (const deadline = performance.now() + COUNTED_MS; ; await Bun.sleep(50)) {
    const { rows: sums } = await pool.query('select sum(records)::float8 as records from shard');
    if (sums[0].records >= ((part + 1) * ROWS) / PARTS) return;
    if (performance.now() > deadline) throw new Error(`only ${sums[0].records} records are counted`);
  }
}

afterAll(async () => {
  await pool?.end();
  await installation?.remove();
});

function begin(words: readonly string[], changes: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, words, {
    env: { ...environment, ...changes },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function run(words: readonly string[], changes: NodeJS.ProcessEnv = {}) {
  const child = begin(words, changes);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => {
      output += text.toString();
    });
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { exitCode, output };
}

const clickledger = (...words: readonly string[]) => run([MAIN, ...words]);

/** One pass with hours of 50 ms. */
async function archive(maxAgeMs: number, changes: NodeJS.ProcessEnv = {}) {
  const { exitCode, output } = await run([ARCHIVER, String(maxAgeMs)], changes);
  expect(output).toMatch(/^\{"pass"/m);
  expect(exitCode).toBe(0);
  return JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? '{}');
}

/** Kills a pass when it has archived a file; whether it was still at work. */
async function kill(): Promise<boolean> {
  const child = begin([ARCHIVER, String(KEEP_ALL_MS)], {});
  const ended = new Promise((resolve) => child.on('close', resolve));
  let output = '';
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (text: Buffer) => {
      output += text.toString();
      resolve();
    });
    child.on('close', () => resolve());
  });
  child.kill('SIGKILL');
  await ended;
  return !output.includes('"pass"');
}

async function manifests(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  const found = names.filter((name) => name.endsWith('manifest.json')).sort();
  return Promise.all(found.map((name) => readFile(path.join(directory, name), 'utf8')));
}

const parquetFiles = async () =>
  (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.parquet')).sort();

/** First sequence that each shard's stream still holds. */
async function firstSequences(): Promise<number[]> {
  const broker = await openBroker(environment['NATS_URL'] ?? '');
  try {
    const shards = await listShards(broker.manager);
    const states = await Promise.all(shards.map((shard) => readStreamState(broker.manager, shard)));
    return states.map(({ firstSequence }) => firstSequence);
  } finally {
    await broker.connection.close();
  }
}

test('the whole life of an archive', async () => {
  const empty = await clickledger('archive');
  expect(empty.output).toContain(`nothing is archived in ${folder} yet`);
  expect((await clickledger('sql', 'select 1')).output).toContain('nothing is archived in');

  // Killed ten times, it ends as if it had never been.
  let killed = 0;
  for (let turn = 0; turn < 10; turn++) if (await kill()) killed += 1;
  expect(killed).toBeGreaterThan(4);
  await archive(KEEP_ALL_MS);
  await archive(KEEP_ALL_MS, { CLICKLEDGER_ARCHIVE: `${folder}-undisturbed` });
  expect(await manifests(folder)).toEqual(await manifests(`${folder}-undisturbed`));

  // What is old goes, and only then: by retention.
  await Bun.sleep(MAX_AGE_MS / 2);
  await importPart(PARTS - 2);
  const first = await archive(MAX_AGE_MS);
  expect(first.troubles).toEqual([]);
  expect(first.pass.messagesRemoved).toBeGreaterThan(0);
  for (const sequence of await firstSequences()) expect(sequence).toBeGreaterThan(1);
  const proved = await clickledger('reconcile');
  expect(proved.output).toMatch(/^equal$/m);
  expect(proved.exitCode).toBe(0);
  const elsewhere = await run([MAIN, 'reconcile'], { CLICKLEDGER_ARCHIVE: `${folder}-absent` });
  expect(elsewhere.output).toMatch(/not decided: the stream of shard \d begins at sequence/);
  expect(elsewhere.exitCode).toBe(2);

  await importPart(PARTS - 1);
  await Bun.sleep(MARGIN_MS);
  expect((await archive(KEEP_ALL_MS)).troubles).toEqual([]);

  // Every click is in it once.
  const counted = await clickledger(
    'sql',
    '--json',
    'select ad_id, count(*) as clicks from clicks group by all',
  );
  expect(counted.exitCode).toBe(0);
  const rows = counted.output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  expect(new Map(rows.map(({ ad_id, clicks }) => [ad_id, clicks]))).toEqual(clicksOf);
  const shown = await clickledger('archive');
  expect(shown.output).toMatch(/total +\d+ +3,000/);
  expect((await clickledger('archive', 'verify')).output).toMatch(/^whole: /);

  // In a bucket it is the same archive.
  const endpoint = await s3ForTest();
  const bucket = {
    CLICKLEDGER_ARCHIVE: `s3://${BUCKET}/copy`,
    CLICKLEDGER_S3_ENDPOINT: endpoint,
    CLICKLEDGER_S3_ACCESS_KEY: KEY.accessKeyId,
    CLICKLEDGER_S3_SECRET_KEY: KEY.secretAccessKey,
  };
  const client = new Bun.S3Client({ bucket: BUCKET, endpoint, region: 'us-east-1', ...KEY });
  for (const name of await readdir(folder, { recursive: true }))
    if (/\.(parquet|json)$/.test(name)) await client.write(`copy/${name}`, Bun.file(path.join(folder, name)));
  const fromBucket = await run([MAIN, 'reconcile'], bucket);
  expect(fromBucket.output).toMatch(/^equal$/m);
  const asked = await run([MAIN, 'sql', '--csv', 'select count(*) as n from clicks'], bucket);
  expect(asked.output).toBe(`n\n${ROWS}\n`);

  // A damaged file, and one that is gone, are named.
  const [name = ''] = await parquetFiles();
  const file = path.join(folder, name);
  const bytes = await Bun.file(file).bytes();
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await cp(file, `${file}.whole`);
  await Bun.write(file, bytes);
  for (const command of ['reconcile', 'sql']) {
    const damaged = await clickledger(command, ...(command === 'sql' ? ['select 1'] : []));
    expect(damaged.output).toContain(`${file} with messages`);
    expect(damaged.output).toContain('is damaged');
    expect(damaged.exitCode).toBe(2);
  }
  const verified = await clickledger('archive', 'verify');
  expect([verified.exitCode, verified.output.split('\n').length]).toEqual([1, 3]);
  expect(verified.output).toContain(file);
  await Bun.file(file).delete();
  const gone = await clickledger('reconcile');
  expect(gone.output).toContain(`not decided: the archive lacks ${file}`);
  expect(gone.exitCode).toBe(2);
  await rename(`${file}.whole`, file);
  expect((await clickledger('reconcile')).exitCode).toBe(0);
}, 240_000);

test('times are shown in UTC wherever the machine is', async () => {
  const question =
    'select min(event_time) = min(received_at) as same, min(published_at) as first from clicks';
  const here = await run([MAIN, 'sql', '--csv', question], { TZ: 'Asia/Kathmandu' });
  expect(here.output).toMatch(/^same,first\nfalse,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00\n$/);
});

test('a question that is none is answered with what would be right', async () => {
  const unknown = await clickledger('sql', 'select colour from clicks');
  expect(unknown.output).toContain('Referenced column "colour" not found');
  expect(unknown.output).toContain('clicks has the columns shard INTEGER, incarnation VARCHAR');
  expect(unknown.exitCode).toBe(2);
  for (const [question, answer] of [
    ['drop view clicks', 'the archive is only asked'],
    ["copy clicks to 'x.csv'", 'file system operations are disabled'],
    ["select * from read_csv('/etc/passwd')", 'file system operations are disabled'],
    ['select 1; select 2', 'one statement is right, these are 2'],
    [' ', 'one statement is right, this is none'],
  ] as const) {
    const refused = await clickledger('sql', question);
    expect(refused.output).toContain(answer);
    expect(refused.exitCode).toBe(2);
  }
}, 60_000);
