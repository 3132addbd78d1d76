/** Sketches of people are read, united and written back, and still nobody is lost or comes from a flush that was refused. */
import { resolve } from 'node:path';
import { runner } from 'node-pg-migrate';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { claimShards } from '../../../src/adapters/postgres/claimShards.ts';
import type { DayPartitions } from '../../../src/adapters/postgres/dayPartitions.ts';
import { migrate } from '../../../src/adapters/postgres/migrate.ts';
import { unitePeople } from '../../../src/adapters/postgres/peopleRows.ts';
import { connectPostgres } from '../../../src/adapters/postgres/pool.ts';
import { readPeople } from '../../../src/adapters/postgres/readPeople.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { upsertAds } from '../../../src/adapters/postgres/upsertAds.ts';
import type { Flush, PeopleDelta } from '../../../src/domain/flush.ts';
import { EXACT_PEOPLE_MAX, People, peopleMonthOf } from '../../../src/domain/people.ts';
import type { PeopleWanted } from '../../../src/domain/peopleReading.ts';
import { DAY_MS, HOUR_MS } from '../../../src/domain/peopleSpan.ts';
import { freshDatabase } from '../../support/postgres.ts';
import {
  addShard,
  asPool,
  delta,
  emptyLedger,
  flushOf,
  INCARNATION,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
  untilWaiting,
} from './ledger.ts';

const STORED = { kind: 'stored' };
const OTHER_CLAIM = '0f7a1f5e-5f0e-4c53-8a51-1f8a3e0c2d11';
/** Owners of three hours around a midnight, which is also the end of a month. */
const HOURS = [MINUTE - HOUR_MS, MINUTE, MINUTE + HOUR_MS] as const;

let ledger: Ledger;
let partitions: DayPartitions;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  partitions = partitionsOf(ledger);
  await addShard(ledger, 0);
});

function seen(adId: string, hour: number, ...keys: readonly number[]): PeopleDelta {
  return { adId, hour, keys: new Set(keys.map(BigInt)) };
}

/** A flush of these people, with a click for each ad and hour. */
function flushOfPeople(people: readonly PeopleDelta[], changes: Partial<Flush> = {}): Flush {
  return flushOf({
    rows: people.map(({ adId, hour }) => delta(adId, hour, { valid: 1 })),
    people,
    ...changes,
  });
}

const store = (people: readonly PeopleDelta[], changes: Partial<Flush> = {}) =>
  storeFlush(ledger.pool, partitions, flushOfPeople(people, changes));

/** How many people each row has, by `shard ad hours start`. */
async function stored(): Promise<Record<string, number>> {
  const { rows } = await ledger.pool.query<{ key: string; start: string; sketch: Buffer }>(
    `select concat_ws(' ', shard, ad_id, hours, to_char(start at time zone 'UTC', 'MM-DD HH24')) as key,
       extract(epoch from start)::bigint as start, sketch
     from ad_people order by shard, ad_id, hours, ad_people.start`,
  );
  return Object.fromEntries(
    rows.map(({ key, start, sketch }) => [
      key,
      People.decode(sketch, peopleMonthOf(Number(start) * 1000)).count().people,
    ]),
  );
}

describe('the people of a flush', () => {
  test('are stored by shard, ad, hour and day', async () => {
    await addShard(ledger, 1);
    expect(
      await store([
        seen('a', HOURS[0], 1, 2),
        seen('a', HOURS[1], 1),
        seen('a', HOURS[2], 2),
        seen('b', HOURS[1], 9),
      ]),
    ).toEqual(STORED);
    expect(await store([seen('a', HOURS[1], 1, 3)], { shard: 1 })).toEqual(STORED);
    expect(await stored()).toEqual({
      '0 a 1 09-30 23': 2,
      '0 a 1 10-01 00': 1,
      '0 a 1 10-01 01': 1,
      '0 a 24 09-30 00': 2,
      '0 a 24 10-01 00': 2,
      '0 b 1 10-01 00': 1,
      '0 b 24 10-01 00': 1,
      '1 a 1 10-01 00': 2,
      '1 a 24 10-01 00': 2,
    });
  });

  test('are united with those that are stored, also beyond the border', async () => {
    const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
    await store([seen('a', HOURS[1], ...many(0, EXACT_PEOPLE_MAX))]);
    await store([seen('a', HOURS[1], ...many(100, EXACT_PEOPLE_MAX))], { floor: 10, newFloor: 20 });
    const { rows } = await ledger.pool.query<{ sketch: Buffer }>(
      'select sketch from ad_people where hours = 1',
    );
    const all = new People(peopleMonthOf(HOURS[1]));
    all.add(many(0, EXACT_PEOPLE_MAX + 100).map(BigInt));
    expect(rows.map(({ sketch }) => sketch)).toEqual([all.encode()]);
  });

  test('that are known write nothing', async () => {
    await store([seen('a', HOURS[1], 1, 2)]);
    const versions = async () =>
      (await ledger.pool.query('select hours, xmin, ctid from ad_people order by hours')).rows;
    const before = await versions();
    expect(await store([seen('a', HOURS[1], 2, 1)], { floor: 10, newFloor: 20 })).toEqual(STORED);
    expect(await versions()).toEqual(before);
  });

  test('sent again after a lost reply are there once, and take nothing from a later flush', async () => {
    const first = [seen('a', HOURS[1], 1, 2)];
    expect(await store(first)).toEqual(STORED);
    expect(await store(first)).toEqual(STORED);
    expect(await store([seen('a', HOURS[1], 3)], { floor: 10, newFloor: 20 })).toEqual(STORED);
    // This try comes when its owner has long gone on: it would write what it read before.
    expect(await store(first)).toMatchObject({ kind: 'fenced' });
    expect(await stored()).toEqual({ '0 a 1 10-01 00': 3, '0 a 24 10-01 00': 3 });
  });

  test('sent twice at once by one owner are there once', async () => {
    await store([seen('a', HOURS[1], 1)]);
    const again = () => store([seen('a', HOURS[1], 2), seen('b', HOURS[1], 5)], { floor: 10, newFloor: 20 });
    expect(await Promise.all([again(), again(), again()])).toEqual([STORED, STORED, STORED]);
    expect(await stored()).toEqual({
      '0 a 1 10-01 00': 2,
      '0 a 24 10-01 00': 2,
      '0 b 1 10-01 00': 1,
      '0 b 24 10-01 00': 1,
    });
  });

  test('of a zombie that read them before a take-over do not overwrite those of the new owner', async () => {
    await store([seen('a', HOURS[1], 1)]);
    await ledger.pool.query(`update shard set lease_until = '-infinity'`);
    await inSession(ledger, async (successor) => {
      await successor.query('begin');
      const shards = [{ shard: 0, incarnation: INCARNATION, claim: OTHER_CLAIM, onlyTakeOver: false }];
      const [claimed] = await claimShards(asPool(successor), 'two', shards, 1, 60_000);
      expect(claimed).toMatchObject({ epoch: 2, floor: 10 });
      const zombie = store([seen('a', HOURS[1], 7)], { floor: 10, newFloor: 20 });
      // It has read the rows as they are, and waits for the checkpoint.
      await untilWaiting(ledger);
      const theirs = flushOfPeople([seen('a', HOURS[1], 2)], {
        epoch: 2,
        claim: OTHER_CLAIM,
        floor: 10,
        newFloor: 15,
      });
      expect(await storeFlush(asPool(successor), partitions, theirs)).toEqual(STORED);
      await successor.query('commit');
      expect(await zombie).toMatchObject({ kind: 'fenced' });
    });
    expect(await stored()).toEqual({ '0 a 1 10-01 00': 2, '0 a 24 10-01 00': 2 });
    const { rows } = await ledger.pool.query<{ sketch: Buffer }>(
      'select sketch from ad_people where hours = 1',
    );
    const right = new People(peopleMonthOf(MINUTE));
    right.add([1n, 2n]);
    expect(rows[0]?.sketch).toEqual(right.encode());
  });

  test('are not united with rows that stand beside another checkpoint, as of a server that lags behind', async () => {
    await store([seen('a', HOURS[1], 1)]);
    const next = flushOfPeople([seen('a', HOURS[1], 2)], { floor: 10, newFloor: 20 });
    expect(await unitePeople(ledger.pool, next)).toHaveLength(2);
    for (const other of [{ floor: 0 }, { floor: 20 }, { epoch: 2 }, { claim: OTHER_CLAIM }, { shard: 1 }])
      expect(await unitePeople(ledger.pool, { ...next, ...other }), JSON.stringify(other)).toBeUndefined();
  });

  test('of final hours and days are not added, of those that are not yet final they are', async () => {
    await store([seen('a', HOURS[0], 1), seen('a', HOURS[1], 1), seen('a', HOURS[2], 1)]);
    // Closed within the day of October: its first hour is final, the day is not.
    await setSettlement(ledger, { closed: HOURS[2] });
    const late = HOURS.map((hour) => seen('a', hour, 2));
    expect(await store(late, { floor: 10, newFloor: 20 })).toEqual(STORED);
    expect(await stored()).toEqual({
      '0 a 1 09-30 23': 1,
      '0 a 1 10-01 00': 1,
      '0 a 1 10-01 01': 2,
      '0 a 24 09-30 00': 1,
      '0 a 24 10-01 00': 2,
    });
  });

  test('cannot be united with a row that is damaged: the flush fails and names it', async () => {
    await store([seen('a', HOURS[1], 1)]);
    await ledger.pool.query(`update ad_people set sketch = '\\x0701' where hours = 24`);
    const flush = { floor: 10, newFloor: 20 };
    await expect(store([seen('a', HOURS[1], 2)], flush)).rejects.toThrow(
      'shard 0, ad_id "a", hours 24, start 2025-10-01T00:00:00.000Z is damaged: a sketch of people has 2 bytes',
    );
    // What operators are told to do.
    await ledger.pool.query(`delete from ad_people where hours = 24`);
    expect(await store([seen('a', HOURS[1], 2)], flush)).toEqual({ kind: 'stored' });
  });
});

describe('people that are read', () => {
  const WANTED: PeopleWanted = {
    subjects: { kind: 'ads', ids: ['a', 'b'] },
    range: { fromMs: HOURS[0], toMs: HOURS[1] + DAY_MS },
    days: [MINUTE],
    hours: [HOURS[0]],
    adsMax: 10,
    sketchesMax: 10,
  };
  const read = (changes: Partial<PeopleWanted> = {}) =>
    readPeople(ledger.pool, { ...WANTED, ...changes }, new AbortController().signal);
  const rowsRead = async (changes: Partial<PeopleWanted> = {}) => {
    const reading = await read(changes);
    if (reading.kind !== 'read') throw new Error(reading.kind);
    return reading.sketches
      .map(({ subject, hours, startMs }) => `${subject} ${hours} ${(startMs - MINUTE) / HOUR_MS}`)
      .sort();
  };

  beforeEach(async () => {
    await store([
      seen('a', HOURS[0], 1),
      seen('a', HOURS[1], 1),
      seen('b', HOURS[2], 1),
      seen('c', HOURS[1], 1),
    ]);
  });

  test('are the rows that were asked for, of the ads that were asked for', async () => {
    expect(await rowsRead()).toEqual(['a 1 -1', 'a 24 0', 'b 24 0']);
    expect(await rowsRead({ days: [], hours: [HOURS[1], HOURS[2]] })).toEqual(['a 1 0', 'b 1 1']);
  });

  test('of campaigns are those of their ads', async () => {
    const ad = (adId: string, campaignId: string) =>
      ({
        adId,
        campaignId,
        advertiserId: '',
        destinationUrl: 'https://shop.example/',
        status: 'ACTIVE',
      }) as const;
    await upsertAds(ledger.pool, [ad('a', 'spring'), ad('b', 'spring'), ad('c', 'winter')]);
    const subjects = { kind: 'campaigns', ids: ['spring', 'none'] } as const;
    expect(await rowsRead({ subjects })).toEqual(['spring 1 -1', 'spring 24 0', 'spring 24 0']);
    expect(await read({ subjects, adsMax: 1 })).toEqual({ kind: 'tooManyAds' });
    expect((await read({ subjects, adsMax: 2 })).kind).toBe('read');
  });

  test('are refused beyond the limit', async () => {
    expect(await read({ sketchesMax: 2 })).toEqual({ kind: 'tooManySketches' });
    expect((await read({ sketchesMax: 3 })).kind).toBe('read');
  });

  test('say how fresh they are: as the shard that is furthest behind', async () => {
    expect(await read()).toMatchObject({ arrivedThroughMs: MINUTE, sinceMs: -Infinity });
    await addShard(ledger, 1);
    expect(await read()).toMatchObject({ arrivedThroughMs: 0 });
  });
});

test('a ledger that counted clicks before there was ad_people says from when on everybody is in it', async () => {
  const { url, drop } = await freshDatabase({ migrated: false });
  onTestFinished(drop);
  const applied = await runner({
    databaseUrl: url,
    dir: resolve(import.meta.dirname, '../../../src/adapters/postgres/migrations'),
    direction: 'up',
    migrationsTable: 'migration',
    count: 9,
    log: () => undefined,
  });
  expect(applied.at(-1)?.name).toMatch(/^0009/);
  const pool = connectPostgres(url, 'test', 1, () => undefined);
  onTestFinished(() => pool.end());
  await pool.query(`
    create table ad_minute_2025_10_01 partition of ad_minute for values from ('2025-10-01 00:00Z') to ('2025-10-02 00:00Z');
    insert into ad_minute values ('a', '2025-10-01 00:00Z', 1, 0, 0, 0, 0, 0, 0, 0)`);
  await migrate(url);
  const { rows } = await pool.query(
    `select since > clock_timestamp() and since <= clock_timestamp() + interval '1 hour'
       and date_trunc('hour', since, 'UTC') = since as right from people_since`,
  );
  expect(rows).toEqual([{ right: true }]);
});

test('a ledger that has counted nothing yet knows everybody from the first on', async () => {
  const empty = await openLedger();
  onTestFinished(empty.end);
  expect((await empty.pool.query('select since from people_since')).rows).toEqual([{ since: -Infinity }]);
});
