/**
 * `clickledger reconcile` on a whole installation: whatever is wrong in the counts is named exactly and restated exactly,
 * once, and nothing is found where nothing is wrong, also while clicks flow.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { decodeClickBatch } from '../../src/adapters/nats/clickBatchCodec.ts';
import { ClickReader } from '../../src/adapters/nats/clickReader.ts';
import { clickStream, listShards, readStreamState } from '../../src/adapters/nats/clickStreams.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { countClick, emptyCounts, minuteOf } from '../../src/domain/windowCounts.ts';
import { openBroker } from '../adapters/nats/clicks.ts';
import { uuid7At } from '../support/clicks.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

const REAL_FILE = path.resolve(import.meta.dirname, '../../../shared/data/talkingdata-clicks.csv.gz');
const ROWS = 12_000;
const KILLS = 10;
/** Of the next portion that is restated: it has 500. */
const KILL_AT_ROW = 100;
const MAP = 'ad_id=app,event_time=click_time';
const MINUTE_MS = 60_000;

/** Rows of the real file, which is not ours to ship; where it is not, made ones of the same kind. */
async function csvRows(): Promise<string> {
  if (existsSync(REAL_FILE)) {
    const text = gunzipSync(await Bun.file(REAL_FILE).bytes()).toString();
    return text
      .split('\n')
      .slice(0, ROWS + 1)
      .join('\n');
  }
  const made = Array.from({ length: ROWS }, (_, row) => {
    const time = new Date(Date.UTC(2017, 10, 7) + ((row * 7_919) % 4_000) * MINUTE_MS).toISOString();
    return `${row % 37},${time}`;
  });
  return ['app,click_time', ...made].join('\n');
}

interface Found {
  readonly exitCode: number;
  readonly windows: readonly { readonly key: string; readonly why: string; readonly late: number }[];
  readonly summary: Record<string, unknown>;
  readonly output: string;
}

async function reconcile(installation: Installation, ...words: readonly string[]): Promise<Found> {
  const { exitCode, output } = await installation.run('reconcile', '--json', ...words);
  const lines = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  const windows = lines
    .filter(({ kind }) => kind === 'window')
    .map(({ ad_id, minute, why, late }) => ({ key: `${ad_id} ${minute}`, why, late }));
  return { exitCode, windows, summary: lines.find(({ kind }) => kind === 'summary') ?? {}, output };
}

interface Row {
  readonly key: string;
  readonly ad_id: string;
  readonly minute: Date;
  readonly counts: string;
}

/** Every stored window that holds something. */
async function storedRows(pool: Pool): Promise<Row[]> {
  const { rows } = await pool.query<Omit<Row, 'key'>>(
    `select ad_id, minute, concat_ws(' ', valid, repeat, givt, sivt, defective, test, fingerprint_high, fingerprint_low)
       as counts from ad_minute where (valid, repeat, givt, sivt, defective, test) <> (0, 0, 0, 0, 0, 0)
     order by ad_id, minute`,
  );
  return rows.map((row) => ({ ...row, key: `${row.ad_id} ${row.minute.toISOString()}` }));
}

async function restatementCount(pool: Pool): Promise<number> {
  const { rows } = await pool.query('select count(*)::float8 as count from restatement');
  return rows[0].count;
}

describe('reconcile', { timeout: 240_000 }, () => {
  let installation: Installation;
  let pool: Pool;
  let right: Row[];

  beforeAll(async () => {
    installation = await Installation.start({ FLUSH_INTERVAL: '100ms', SHARDS: '4' });
    pool = new Pool({ connectionString: await installation.databaseUrl(), max: 4 });
    pool.on('error', () => undefined);
    const file = path.join(installation.directory, 'clicks.csv');
    await Bun.write(file, await csvRows());
    const imported = await installation.run('import', file, '--map', MAP, '--create-ads');
    expect(imported.exitCode).toBe(0);
    await untilStored(pool, ROWS);
    right = await storedRows(pool);
  });

  afterAll(async () => {
    await pool?.end();
    await installation?.remove();
  });

  const change = (set: string, ...rows: readonly (Row | undefined)[]) =>
    Promise.all(
      rows.map((row) =>
        pool.query(`update ad_minute set ${set} where ad_id = $1 and minute = $2`, [row?.ad_id, row?.minute]),
      ),
    );

  test('finds nothing where nothing is wrong', async () => {
    const found = await reconcile(installation);
    expect(found.output).not.toContain('not decided');
    expect(found.exitCode).toBe(0);
    expect(found.windows).toEqual([]);
    expect(found.summary).toMatchObject({
      shards: 4,
      shards_differing: 0,
      records: ROWS,
      windows: right.length,
      differing: 0,
    });
    const shown = await installation.run('reconcile');
    expect(shown.exitCode).toBe(0);
    expect(shown.output).toMatch(/^equal$/m);
  });

  test('names exactly what is wrong and changes nothing; applied, everything is as it was, once', async () => {
    const [gone, goneToo, raised, fingerprint] = right;
    const lowered = right.find(
      (row) => row.key !== raised?.key && row.minute.getTime() === raised?.minute.getTime(),
    );
    expect(lowered).toBeDefined();
    const wrong = [gone, goneToo, raised, fingerprint, lowered];
    for (const row of [gone, goneToo])
      await pool.query('delete from ad_minute where ad_id = $1 and minute = $2', [row?.ad_id, row?.minute]);
    await change('valid = valid + 1', raised);
    await change('valid = valid - 1', lowered);
    await change('fingerprint_low = fingerprint_low + 1', fingerprint);
    const before = await storedRows(pool);

    const keys = wrong.map((row) => row?.key).sort();
    const dry = await reconcile(installation);
    expect(dry.exitCode).toBe(1);
    expect(dry.windows.map(({ key }) => key).sort()).toEqual(keys);
    expect(new Set(dry.windows.map(({ why }) => why))).toEqual(new Set(['not what the stream says']));
    expect(dry.summary).toMatchObject({ run: null, differing: 5, restated: 0 });
    expect(await storedRows(pool)).toEqual(before);
    expect(await restatementCount(pool)).toBe(0);
    const one = await reconcile(installation, '--ads', `${gone?.ad_id}`);
    expect(one.windows.map(({ key }) => key)).toEqual(
      keys.filter((key) => key?.startsWith(`${gone?.ad_id} `)),
    );

    const shown = await installation.run('reconcile', '--apply');
    expect(shown.output).toContain('other clicks, equal counts');
    expect(shown.output).toContain('5 windows differ, 5 restated');
    expect(shown.exitCode).toBe(0);
    expect(await storedRows(pool)).toEqual(right);
    const { rows } = await pool.query(
      `select ad_id, minute, cause, late::float8, (after_valid - before_valid)::float8 as valid, streams from restatement`,
    );
    const restated = rows.map(({ ad_id, minute }) => `${ad_id} ${minute.toISOString()}`);
    expect(restated.sort()).toEqual(keys);
    expect(rows[0]).toMatchObject({ cause: 'RECONCILE', late: 0 });
    expect(Object.keys(rows[0].streams)).toEqual(['0', '1', '2', '3']);
    expect(rows.find(({ ad_id, minute }) => `${ad_id} ${minute.toISOString()}` === raised?.key)?.valid).toBe(
      -1,
    );

    const again = await reconcile(installation, '--apply');
    expect(again.exitCode).toBe(0);
    expect(await restatementCount(pool)).toBe(5);
  });

  test('compares the range that is asked for, and nothing else', async () => {
    const row = right[7];
    await change('givt = givt + 1', row);
    const minute = row?.minute.getTime() ?? 0;
    const range = (fromMs: number, toMs: number) => [
      '--from',
      new Date(fromMs).toISOString(),
      '--to',
      new Date(toMs).toISOString(),
    ];
    expect((await reconcile(installation, ...range(minute + MINUTE_MS, minute + 9e8))).exitCode).toBe(0);
    expect((await reconcile(installation, ...range(minute - 9e8, minute))).exitCode).toBe(0);
    const found = await reconcile(installation, ...range(minute, minute + MINUTE_MS), '--apply');
    expect(found.windows.map(({ key }) => key)).toEqual([row?.key]);
    expect(found.exitCode).toBe(0);
    expect(await storedRows(pool)).toEqual(right);
  });

  /** Any click on the streams. */
  async function someClick(): Promise<ClickFacts> {
    const broker = await openBroker(await installation.natsUrl());
    try {
      const reader = new ClickReader(broker.client, broker.manager, () => undefined);
      for (const shard of await listShards(broker.manager)) {
        const { incarnation, lastSequence } = await readStreamState(broker.manager, shard);
        const stop = new AbortController().signal;
        for await (const { bytes } of reader.read(shard, incarnation, 1, stop, lastSequence)) {
          const facts = decodeClickBatch(bytes)?.records[0]?.facts;
          if (facts !== undefined) return facts;
        }
      }
      throw new Error('there is no click');
    } finally {
      await broker.connection.close();
    }
  }

  test('finds one click in the place of another, with every count as it should be', async () => {
    const { adId, clickId, eventTimeMs } = await someClick();
    const [counted, other] = [emptyCounts(), emptyCounts()];
    countClick(counted, clickId, 'VALID');
    countClick(other, uuid7At(eventTimeMs, 77), 'VALID');
    const minute = new Date(minuteOf(eventTimeMs));
    await pool.query(
      `update ad_minute set fingerprint_high = fingerprint_high + $3, fingerprint_low = fingerprint_low + $4
       where ad_id = $1 and minute = $2`,
      [
        adId,
        minute,
        other.fingerprintHigh - counted.fingerprintHigh,
        other.fingerprintLow - counted.fingerprintLow,
      ],
    );
    const found = await reconcile(installation, '--apply');
    expect(found.windows.map(({ key }) => key)).toEqual([`${adId} ${minute.toISOString()}`]);
    expect(await storedRows(pool)).toEqual(right);
  });

  test("names a shard's own sums that are not those of its stream, and leaves them", async () => {
    await pool.query('update shard set records = records + 1 where shard = 2');
    const { exitCode, output, summary } = await reconcile(installation, '--apply');
    expect(exitCode).toBe(1);
    expect(output).toContain('"kind":"shard","shard":2,"what":"records"');
    expect(summary).toMatchObject({ shards_differing: 1, differing: 0 });
    await pool.query('update shard set records = records - 1 where shard = 2');
  });

  test('gives no answer where the stream is not the one that was counted', async () => {
    const { rows } = await pool.query('select incarnation from shard where shard = 1');
    await pool.query(`update shard set incarnation = 'another' where shard = 1`);
    const { exitCode, output } = await reconcile(installation, '--apply');
    await pool.query('update shard set incarnation = $1 where shard = 1', [rows[0].incarnation]);
    expect(exitCode).toBe(2);
    expect(output).toContain('not decided: the stream of shard 1 was made anew');
  });

  /** Portions that the server works on at this moment. */
  async function partsInHand(condition: string): Promise<number> {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()
         and query like '%update reconcile_run set chunk%' and ${condition}`,
    );
    return rowCount ?? 0;
  }

  test('killed in the middle of applying, ten times: everything is restated once', async () => {
    await pool.query('truncate restatement');
    await pool.query('update ad_minute set repeat = repeat + 3');
    for (let round = 1; round <= KILLS; round++) {
      // A portion at least is stored in each round.
      const place = (await restatementCount(pool)) + KILL_AT_ROW;
      expect(place).toBeLessThan(right.length - 600);
      // The part that holds this row waits here; those before it are stored.
      const blocker = await pool.connect();
      await blocker.query('begin');
      const row = right[place];
      await blocker.query('select from ad_minute where ad_id = $1 and minute = $2 for update', [
        row?.ad_id,
        row?.minute,
      ]);
      const run = installation.begin('reconcile', '--apply');
      await until('a part waits', async () => (await partsInHand(`wait_event_type = 'Lock'`)) > 0);
      await run.kill();
      // The server goes on with what it has in hand; in the last round the next run has begun by then.
      const next = round === KILLS ? installation.run('reconcile', '--apply') : undefined;
      if (next !== undefined) await Bun.sleep(1_000);
      await blocker.query('commit');
      blocker.release();
      if (next !== undefined) expect((await next).exitCode).toBe(0);
      else expect(await restatementCount(pool)).toBeLessThan(right.length);
      await until('the server has ended what it had in hand', async () => (await partsInHand('true')) === 0);
    }
    expect((await reconcile(installation)).exitCode).toBe(0);
    expect(await storedRows(pool)).toEqual(right);
    const { rows } = await pool.query(
      `select count(*)::float8 as all, count(distinct (ad_id, minute))::float8 as windows, count(distinct run)::float8 as runs
       from restatement`,
    );
    expect(rows[0]).toEqual({ all: right.length, windows: right.length, runs: KILLS + 1 });
  });

  test('finds nothing while clicks flow, late ones too, and Redis forgets everything; all is as it was sent', async () => {
    const [catalog, ingest] = [
      catalogClient(installation.ingestAddress),
      ingestClient(installation.ingestAddress),
    ];
    const redis = new Redis(await installation.redisUrl());
    const ads = ['flow-1', 'flow-2', 'flow-3'];
    await catalog.upsertAds({
      ads: ads.map((ad_id) => ({ ad_id, destination_url: 'https://shop.example/' })),
    });
    let flows = true;
    let sent = 0;
    const truth = new Map<string, number>();
    const flowing = (async () => {
      let again: Click[] = [];
      while (flows) {
        const fresh = Array.from({ length: 20 }, (_, index): Click => {
          const ad_id = ads[index % 3] ?? '';
          // Every other one is late, by up to 45 minutes: those are settled.
          const event_time_ms = Date.now() - (index % 2) * index * 150_000;
          const key = `${ad_id} ${minuteOf(event_time_ms)}`;
          truth.set(key, (truth.get(key) ?? 0) + 1);
          return { click_id: Bun.randomUUIDv7(), ad_id, event_time_ms };
        });
        // Each batch repeats a click of the one before.
        await ingest.batchIngestClicks({ source: 'test', clicks: [...fresh, ...again] });
        sent += fresh.length + again.length;
        again = fresh.slice(2, 3);
        await Bun.sleep(5);
      }
    })();
    const records: number[] = [];
    try {
      for (let round = 0; round < 3; round++) {
        await redis.flushall();
        const words = round === 0 ? ['--settle'] : [];
        const { exitCode, output, summary } = await reconcile(installation, ...words);
        expect(exitCode, output).toBe(0);
        records.push(Number(summary['records']));
      }
    } finally {
      flows = false;
      await flowing;
      redis.disconnect();
      catalog.close();
      ingest.close();
    }
    expect(records[2]).toBeGreaterThan(records[0] ?? 0);
    await untilStored(pool, ROWS + sent);
    const { exitCode, summary } = await reconcile(installation);
    expect(exitCode).toBe(0);
    expect(summary).toMatchObject({ records: ROWS + sent, differing: 0 });
    const { rows } = await pool.query(
      `select ad_id, (extract(epoch from minute) * 1000)::float8 as minute, valid::float8,
         repeat + givt + sivt + defective + test as others from ad_minute where ad_id = any($1)`,
      [ads],
    );
    expect(new Map(rows.map(({ ad_id, minute, valid }) => [`${ad_id} ${minute}`, valid]))).toEqual(truth);
    expect(new Set(rows.map(({ others }) => others))).toEqual(new Set(['0']));
    const late = await pool.query(`select from restatement where cause = 'LATE' and ad_id = any($1)`, [ads]);
    expect(late.rowCount).toBeGreaterThan(0);
  });

  test('gives no answer where a stream does not hold what was counted any more', async () => {
    const broker = await openBroker(await installation.natsUrl());
    await broker.manager.streams.update(clickStream(0), { max_msgs: 1 });
    const { firstSequence } = await readStreamState(broker.manager, 0);
    await broker.connection.close();
    expect(firstSequence).toBeGreaterThan(1);
    const before = await storedRows(pool);
    const whole = await reconcile(installation, '--apply');
    expect(whole.exitCode).toBe(2);
    expect(whole.output).toContain(
      `the stream of shard 0 begins at sequence ${firstSequence}: what was counted`,
    );
    const part = await reconcile(installation, '--apply', '--from', '-1h', '--to', 'now');
    expect(part.exitCode).toBe(2);
    expect(part.output).toContain('right is a later --from');
    expect(await storedRows(pool)).toEqual(before);
  });
});

describe('reconcile after the dedup horizon', { timeout: 180_000 }, () => {
  const HORIZON_MS = 2_000;
  let installation: Installation;
  let pool: Pool;

  beforeAll(async () => {
    installation = await Installation.start({
      FLUSH_INTERVAL: '100ms',
      DEDUP_HORIZON: `${HORIZON_MS}ms`,
      CLICK_URL_TTL: '1s',
      MAX_FUTURE_SKEW: '1s',
    });
    pool = new Pool({ connectionString: await installation.databaseUrl(), max: 2 });
    pool.on('error', () => undefined);
  });

  afterAll(async () => {
    await pool?.end();
    await installation?.remove();
  });

  test('takes back what was billed again, and says why', async () => {
    const [catalog, ingest] = [
      catalogClient(installation.ingestAddress),
      ingestClient(installation.ingestAddress),
    ];
    await catalog.upsertAds({ ads: [{ ad_id: 'shoes', destination_url: 'https://shop.example/' }] });
    const startMs = Date.now();
    const click = (number: number, impression: number) => ({
      ad_id: 'shoes',
      click_id: formatUuid(uuid7At(startMs, number)),
      impression_id: formatUuid(uuid7At(startMs, impression)),
      event_time_ms: startMs,
    });
    await ingest.batchIngestClicks({ source: 'test', clicks: [click(1, 11), click(2, 12), click(3, 13)] });
    await Bun.sleep(HORIZON_MS + 2_500);
    // The first click itself, and another one on the second impression.
    await ingest.batchIngestClicks({ source: 'test', clicks: [click(1, 11), click(4, 12)] });
    catalog.close();
    ingest.close();
    await untilStored(pool, 5);
    const counts = async () =>
      (await pool.query('select valid::float8, repeat::float8 from ad_minute where valid > 0')).rows;
    expect(await counts()).toEqual([{ valid: 5, repeat: 0 }]);

    const dry = await reconcile(installation);
    expect(dry.exitCode).toBe(1);
    expect(dry.windows).toMatchObject([{ late: 2, why: '2 repeats after the dedup horizon' }]);
    expect((await reconcile(installation, '--apply')).exitCode).toBe(0);
    expect(await counts()).toEqual([{ valid: 3, repeat: 1 }]);
    const { rows } = await pool.query(
      'select late::float8, before_valid::float8 as before, after_valid::float8 as after from restatement',
    );
    expect(rows).toEqual([{ late: 2, before: 5, after: 3 }]);
    expect((await reconcile(installation)).exitCode).toBe(0);
  });
});
