/** Counts as they stood at a moment: the same answer for ever, whatever is restated, booked and settled since. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { closePeriod } from '../../../src/adapters/postgres/billingPeriods.ts';
import { readAggregates } from '../../../src/adapters/postgres/readAggregates.ts';
import { readPastAggregates } from '../../../src/adapters/postgres/readPastAggregates.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { SettledAggregates } from '../../../src/domain/aggregates.ts';
import type { DeltaRow } from '../../../src/domain/flush.ts';
import type { Granularity } from '../../../src/domain/granularity.ts';
import { statusOfSpan } from '../../../src/domain/settlement.ts';
import { question } from '../../support/questions.ts';
import {
  addShard,
  asPool,
  delta,
  emptyLedger,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
} from './ledger.ts';

const STEP_MS = 60_000;
const NEXT = MINUTE + STEP_MS;
const MONTH_END = Date.UTC(2025, 10, 1);
const RANGE = { fromMs: MINUTE, toMs: NEXT + STEP_MS };

let ledger: Ledger;
let floor = 0;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  await addShard(ledger, 0);
  floor = 0;
});

async function store(...rows: DeltaRow[]): Promise<void> {
  const flush = flushOf({ floor, newFloor: floor + 1, rows });
  expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
  floor += 1;
}

/** As a run leaves it that has settled so far. */
async function settle(throughMs: number): Promise<void> {
  await setSettlement(ledger, { settled: throughMs });
  await ledger.pool.query('insert into settled (through, run) values ($1, 1)', [new Date(throughMs)]);
}

/** The present by the database's clock: what was before it and what comes after it never share a millisecond. */
async function moment(): Promise<number> {
  await Bun.sleep(3);
  const { rows } = await ledger.pool.query<{ now: number }>(
    'select floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now',
  );
  await Bun.sleep(3);
  return rows[0]?.now ?? 0;
}

async function past(
  asOfMs: number,
  granularity: Granularity = 'MINUTE',
  range = RANGE,
): Promise<SettledAggregates> {
  const found = await readPastAggregates(
    ledger.pool,
    asOfMs,
    question(['ad', 'other'], range, granularity),
    100,
  );
  if (found.kind !== 'read') throw new Error(`not read: ${found.kind}`);
  return found;
}

const shown = ({ rows, restated }: SettledAggregates) =>
  rows
    .map(({ group, bucketMs, valid, test: tests }) => [
      group[0],
      (bucketMs - MINUTE) / STEP_MS,
      valid,
      tests,
      restated.find(({ ads, bucketMs: at }) => ads[0] === group[0] && at === bucketMs)?.revision ?? 0,
    ])
    .sort();

describe('counts as of a moment', () => {
  test('are those of now without what was restated since, with the revision of then', async () => {
    await store(delta('ad', MINUTE, { valid: 5, test: 1 }), delta('ad', NEXT, { valid: 1 }));
    await settle(RANGE.toMs);
    const settled = await moment();
    await store(delta('ad', MINUTE, { valid: 2, test: 3 }), delta('other', MINUTE, { valid: 4 }));
    const late = await moment();
    await store(delta('ad', MINUTE, { valid: 10 }), delta('ad', NEXT, { valid: 10 }));
    const later = await moment();
    const answers = async () => [await past(settled), await past(late), await past(later)].map(shown);
    const expected = [
      [
        ['ad', 0, 5, 1, 0],
        ['ad', 1, 1, 0, 0],
      ],
      [
        ['ad', 0, 7, 4, 1],
        ['ad', 1, 1, 0, 0],
        ['other', 0, 4, 0, 1],
      ],
      [
        ['ad', 0, 17, 4, 2],
        ['ad', 1, 11, 0, 1],
        ['other', 0, 4, 0, 1],
      ],
    ];
    expect(await answers()).toEqual(expected);
    expect(shown(await past(late, 'HOUR'))).toEqual([
      ['ad', 0, 8, 4, 1],
      ['other', 0, 4, 0, 1],
    ]);
    // Now and then are read alike.
    expect(shown(await past(later))).toEqual(
      shown(await readAggregates(ledger.pool, question(['ad', 'other'], RANGE, 'MINUTE'), 100)),
    );
    await store(delta('ad', MINUTE, { valid: 100 }));
    await setSettlement(ledger, { closed: MONTH_END });
    await store(delta('ad', MINUTE, { valid: 1_000 }));
    expect(await answers()).toEqual(expected);
  });

  test('know through when minutes were settled and closed then, and what differed', async () => {
    await store(delta('ad', MINUTE, { valid: 5 }));
    const never = await moment();
    await settle(NEXT);
    const first = await moment();
    await ledger.pool.query(`insert into drift (ad_id, minute, run) values ('ad', $1, 1), ('ad', $2, 1)`, [
      new Date(MINUTE),
      new Date(NEXT),
    ]);
    await settle(MONTH_END);
    const differs = await moment();
    await ledger.pool.query('update drift set ended_at = clock_timestamp()');
    const equal = await moment();
    expect(await closePeriod(ledger.pool, { startsMs: MINUTE, endsMs: MONTH_END })).toEqual({
      kind: 'closed',
    });
    await ledger.pool.query(`insert into drift (ad_id, minute, run) values ('ad', $1, 2)`, [
      new Date(MINUTE),
    ]);
    const closed = await moment();
    const known = async (asOfMs: number) => {
      const { settlement, differing } = await past(asOfMs, 'HOUR');
      const status = statusOfSpan(NEXT, settlement, differing.length > 0);
      return [settlement.settledThroughMs, settlement.closedThroughMs, status, differing];
    };
    const differing = [{ ads: ['ad'], adId: 'ad', bucketMs: MINUTE, minute: MINUTE }];
    expect(await known(never)).toEqual([-Infinity, -Infinity, 'PROVISIONAL', []]);
    expect(await known(first)).toEqual([NEXT, -Infinity, 'SETTLED', []]);
    expect(await known(differs)).toEqual([MONTH_END, -Infinity, 'PROVISIONAL', differing]);
    expect(await known(equal)).toEqual([MONTH_END, -Infinity, 'SETTLED', []]);
    expect(await known(closed)).toEqual([MONTH_END, MONTH_END, 'FINAL', []]);
  });

  test('are refused of a moment to come', async () => {
    const nowMs = await moment();
    const found = await readPastAggregates(ledger.pool, nowMs + 60_000, question(['ad'], RANGE, 'DAY'), 10);
    expect(found).toMatchObject({ kind: 'future', nowMs: expect.closeTo(nowMs, -5) });
  });

  test('wait for a change that was written before the moment and is committed after it', async () => {
    await store(delta('ad', MINUTE, { valid: 5 }));
    await settle(RANGE.toMs);
    await inSession(ledger, async (flusher) => {
      await flusher.query('begin');
      const flush = flushOf({ floor, newFloor: floor + 1, rows: [delta('ad', MINUTE, { valid: 2 })] });
      await storeFlush(asPool(flusher), partitionsOf(ledger), flush);
      const asOfMs = await moment();
      let answered = false;
      const answer = past(asOfMs).then((found) => {
        answered = true;
        return found;
      });
      await Bun.sleep(150);
      expect(answered).toBe(false);
      await flusher.query('commit');
      expect(shown(await answer)).toEqual([['ad', 0, 7, 0, 1]]);
    });
  });

  test('are not answered while such a change does not come through, and those of before it are', async () => {
    await store(delta('ad', MINUTE, { valid: 5 }));
    await settle(RANGE.toMs);
    const before = await moment();
    await inSession(ledger, async (flusher) => {
      await flusher.query('begin');
      const flush = flushOf({ floor, newFloor: floor + 1, rows: [delta('ad', MINUTE, { valid: 2 })] });
      await storeFlush(asPool(flusher), partitionsOf(ledger), flush);
      const found = await readPastAggregates(ledger.pool, await moment(), question(['ad'], RANGE, 'DAY'), 10);
      expect(found).toEqual({ kind: 'pending' });
      expect(shown(await past(before))).toEqual([['ad', 0, 5, 0, 0]]);
    });
  });
});

describe('counts of now', () => {
  test('come with revisions, how far they are settled, and what differs but for closed minutes', async () => {
    await store(delta('ad', MINUTE, { valid: 5 }), delta('ad', NEXT, { valid: 1 }));
    await settle(RANGE.toMs);
    await store(delta('ad', MINUTE, { valid: 1 }), delta('ad', NEXT, { valid: 1 }));
    await ledger.pool.query(
      `insert into drift (ad_id, minute, run) values ('ad', $1, 1), ('ad', $2, 1), ('x', $1, 1)`,
      [new Date(MINUTE), new Date(NEXT)],
    );
    const read = (granularity: Granularity) =>
      readAggregates(ledger.pool, question(['ad'], RANGE, granularity), 10);
    expect(await read('HOUR')).toMatchObject({
      rows: [{ valid: 8 }],
      restated: [{ ads: ['ad'], bucketMs: MINUTE, revision: 2 }],
      settlement: { watchedThroughMs: RANGE.toMs, settledThroughMs: RANGE.toMs, closedThroughMs: -Infinity },
      differing: [{ ads: ['ad'], adId: 'ad', bucketMs: MINUTE, minute: MINUTE }],
    });
    await setSettlement(ledger, { settled: RANGE.toMs, closed: NEXT });
    expect((await read('MINUTE')).differing).toEqual([
      { ads: ['ad'], adId: 'ad', bucketMs: NEXT, minute: NEXT },
    ]);
  });
});
