/**
 * Real clicks, imported through the front door: every (ad, minute) equals a count made from the file by other means,
 * also when processes are killed meanwhile, and a second import changes nothing.
 *
 * The file is not ours to ship: it lies beside the project where these tests are to run.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wrongRollups } from '../support/rollupCheck.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';

const FILE = path.resolve(import.meta.dirname, '../../../shared/data/talkingdata-clicks.csv.gz');
const ROWS = 60_035;
const FROM_MS = Date.UTC(2017, 10, 6);
const TO_MS = Date.UTC(2017, 10, 11);
const KILL_EVERY_MS = 500;
const WIPE_EVERY_MS = 200;
const MAP = 'ad_id=app,event_time=click_time,publisher_id=channel,device_type=device,os=os,ip=ip';

/** Clicks by "ad minute", counted from the file by nothing of ours. */
async function countFile(): Promise<Map<string, number>> {
  const text = gunzipSync(await Bun.file(FILE).bytes()).toString();
  const counts = new Map<string, number>();
  for (const line of text.trim().split('\n').slice(1)) {
    const [, app, , , , time = ''] = line.split(',');
    const [date = '', clock = ''] = time.split(' ');
    const minute = Date.parse(`${date}T${clock.padStart(5, '0')}:00Z`);
    const key = `${app} ${minute}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function adsOf(expected: ReadonlyMap<string, number>): string[] {
  return [...new Set([...expected.keys()].map((key) => key.split(' ')[0] ?? ''))].sort();
}

async function countedClicks(
  counts: Counts,
  expected: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const adIds = adsOf(expected);
  await counts.settled(adIds[0] ?? '', Date.now());
  const rows = await counts.rows(adIds, FROM_MS, TO_MS, 'MINUTE');
  return new Map(rows.map(({ ad_id, from_ms, metrics }) => [`${ad_id} ${from_ms}`, metrics?.clicks ?? 0]));
}

if (!existsSync(FILE)) process.stderr.write(`the real clicks are not at ${FILE}: their tests are skipped\n`);

describe.skipIf(!existsSync(FILE))('real clicks', { timeout: 180_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let expected: Map<string, number>;

  beforeAll(async () => {
    installation = await Installation.start();
    counts = new Counts(installation);
    expected = await countFile();
  });

  afterAll(async () => {
    counts?.close();
    await installation?.remove();
  });

  const importFile = () => installation.run('import', FILE, '--map', MAP, '--create-ads');

  test('the file holds what it should', () => {
    expect([...expected.values()].reduce((sum, clicks) => sum + clicks, 0)).toBe(ROWS);
  });

  test('every minute of every ad is exact although actors are killed three times and the gateway once', async () => {
    const victims = ['actors', 'gateway', 'actors', 'actors'] as const;
    let kills = 0;
    // Where an import is over before all of them were killed, it is run again: that changes no count.
    while (kills < victims.length) {
      let running = true;
      const importing = importFile().finally(() => {
        running = false;
      });
      while (running && kills < victims.length) {
        await Bun.sleep(KILL_EVERY_MS);
        const victim = victims[kills];
        if (!running || victim === undefined) break;
        await installation.kill(victim);
        kills += 1;
      }
      const { exitCode, output } = await importing;
      expect(output).toContain('60,035');
      expect(exitCode).toBe(0);
    }
    expect(await countedClicks(counts, expected)).toEqual(expected);
    const pool = new Pool({ connectionString: await installation.databaseUrl(), max: 1 });
    expect(await wrongRollups(pool)).toEqual([]);
    await pool.end();
  });

  test('the same import again is all duplicates', async () => {
    const { exitCode } = await importFile();
    expect(exitCode).toBe(0);
    expect(await countedClicks(counts, expected)).toEqual(expected);
  });

  test('and once more, while Redis forgets everything and its scripts again and again', async () => {
    const redis = new Redis(await installation.redisUrl());
    let running = true;
    const importing = importFile().finally(() => {
      running = false;
    });
    let wipes = 0;
    while (running) {
      await Bun.sleep(WIPE_EVERY_MS);
      await redis.flushall();
      await redis.script('FLUSH');
      wipes += 1;
    }
    redis.disconnect();
    expect((await importing).exitCode).toBe(0);
    expect(wipes).toBeGreaterThan(0);
    expect(await countedClicks(counts, expected)).toEqual(expected);
  });

  test('and once more, while each server is killed in turn', async () => {
    const importing = importFile();
    for (const server of ['nats-server', 'redis-server', 'postgres'] as const) {
      await Bun.sleep(KILL_EVERY_MS);
      await installation.kill(server);
    }
    expect((await importing).exitCode).toBe(0);
    expect(await countedClicks(counts, expected)).toEqual(expected);
  });

  test('what was counted is there after a restart of everything', async () => {
    expect(await installation.stop()).toBe(0);
    await installation.up();
    expect(await countedClicks(counts, expected)).toEqual(expected);
  });
});
