/** Rollups in a recount: whatever is wrong in one is named, and mended once; final rows stay (I10, I13). */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connectForRecount } from '../../../src/adapters/postgres/pool.ts';
import { RecountSession } from '../../../src/adapters/postgres/recountSession.ts';
import { beginReconcileRun, restate } from '../../../src/adapters/postgres/restate.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import type { Compared, Differences } from '../../../src/domain/difference.ts';
import type { RollupKind, RollupRow } from '../../../src/domain/dimensions.ts';
import type { DeltaRow } from '../../../src/domain/flush.ts';
import type { RecountedPortion, RecountedWindow, WindowSelection } from '../../../src/domain/recount.ts';
import { type DispositionCounts, emptyCounts, emptyDispositions } from '../../../src/domain/windowCounts.ts';
import {
  addShard,
  adjustedRows,
  delta,
  emptyLedger,
  flushOf,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
  setSettlement,
} from './ledger.ts';

const STEP_MS = 60_000;
const QUARTER_MS = 15 * STEP_MS;
const HOUR_MS = 3_600_000;
const FLUSHES = 20;
const ALL: WindowSelection = { fromMs: undefined, toMs: undefined, adIds: undefined };

let ledger: Ledger;
let recountPool: Pool;
let floor = 0;

beforeAll(async () => {
  ledger = await openLedger();
  recountPool = connectForRecount(ledger.url, 'test', () => undefined);
});
afterAll(async () => {
  await recountPool.end();
  await ledger.end();
});
beforeEach(async () => {
  await emptyLedger(ledger);
  await ledger.pool.query('truncate rollup_restatement');
  await addShard(ledger, 0);
  floor = 0;
});

interface Clicks {
  readonly rows: DeltaRow[];
  readonly rollups: RollupRow[];
}

/** Counts of an ad in one minute, by country. */
function clicks(
  adId: string,
  minute: number,
  byCountry: Readonly<Record<string, Partial<DispositionCounts>>>,
): Clicks {
  const rows = Object.values(byCountry).map((counts) => delta(adId, minute, counts));
  const quarter = minute - (minute % QUARTER_MS);
  const rollups = Object.entries(byCountry).flatMap(([country, counts]) =>
    ([1, 2] as const).map((kind) =>
      rollup(adId, quarter, kind, kind === 1 ? country : '', kind === 1 ? '' : country, counts),
    ),
  );
  return { rows, rollups };
}

function rollup(
  adId: string,
  quarter: number,
  kind: RollupKind,
  value: string,
  value2: string,
  counts: Partial<DispositionCounts>,
): RollupRow {
  return { adId, quarter, kind, value, value2, ...emptyDispositions(), ...counts };
}

async function stored(...parts: readonly Clicks[]): Promise<void> {
  // A flush has a row once.
  for (const { rows, rollups } of parts) {
    const sums = new Map<number, DeltaRow>();
    for (const row of rows) {
      const counts = sums.get(row.minute)?.counts ?? emptyCounts();
      const sum = Object.entries(row.counts).map(([name, count]) => [
        name,
        count + counts[name as keyof typeof counts],
      ]);
      sums.set(row.minute, { ...row, counts: Object.fromEntries(sum) });
    }
    const flush = flushOf({ floor, newFloor: floor + 1, rows: [...sums.values()], rollups });
    expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
    floor += 1;
  }
}

function truthOf(...parts: readonly Clicks[]): RecountedPortion {
  const windows = new Map<string, RecountedWindow>();
  for (const { adId, minute, counts } of parts.flatMap(({ rows }) => rows)) {
    const known = windows.get(`${adId} ${minute}`) ?? { adId, minute, counts: emptyCounts(), late: 0 };
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) known.counts[name] += counts[name];
    windows.set(`${adId} ${minute}`, known);
  }
  return { windows: [...windows.values()], rollups: parts.flatMap(({ rollups }) => rollups) };
}

interface Found extends Differences {
  readonly sums: Compared;
}

async function look(
  truth: RecountedPortion,
  selection = ALL,
  { apply = false, withDimensions = true, most = 1_000, meanwhile = async () => {} } = {},
): Promise<Found> {
  const run = await beginReconcileRun(ledger.pool);
  const session = await RecountSession.open(recountPool);
  const all = { windows: [] as Found['windows'][number][], rollups: [] as Found['rollups'][number][] };
  try {
    await session.add(truth);
    const sums = await session.compare(selection, withDimensions);
    await meanwhile();
    let chunk = 0;
    for await (const { windows, rollups } of session.differences(most)) {
      all.windows.push(...windows);
      all.rollups.push(...rollups);
      if (!apply) continue;
      chunk += 1;
      const differences = windows.map((difference) => ({ ...difference, ruleSetVersion: 1 }));
      const common = { cause: 'RECONCILE', note: undefined, ranges: [], fromMs: selection.fromMs } as const;
      const decided = rollups.filter(({ needsLongerReplay }) => !needsLongerReplay);
      const portion = { run, chunk, differences, rollups: decided, ...common };
      // A lost answer: the second try adds nothing.
      for (let time = 0; time < 2; time++)
        expect(await restate(ledger.pool, partitionsOf(ledger), portion)).toEqual({ kind: 'done' });
    }
    return { sums, ...all };
  } finally {
    await session.close();
  }
}

/** What differs, in short. */
function short({ windows, rollups }: Found): string[] {
  return [
    ...windows.map(({ adId, before, after }) => `window ${adId} ${before.valid} ${after.valid}`),
    ...rollups.map(({ rollup, adId, kind = '', value, value2, before, after }) =>
      [rollup, adId, kind, value, value2, before.valid, after.valid].join(' ').replace(/ +/g, ' '),
    ),
  ];
}

const SHOES = clicks('shoes', MINUTE, { DE: { valid: 3, repeat: 1 }, AT: { valid: 2 } });
const LATER = clicks('shoes', MINUTE + HOUR_MS, { DE: { valid: 4 } });
const HATS = clicks('hats', MINUTE + STEP_MS, { DE: { valid: 1, givt: 5 } });
const COUNTED = [SHOES, LATER, HATS];
const TRUTH = truthOf(...COUNTED);

async function everyRollup(): Promise<unknown[]> {
  const rows: unknown[] = [];
  for (const [table, keys] of [
    ['ad_minute', 'ad_id, minute'],
    ['ad_hour', 'ad_id, hour'],
    ['ad_day', 'ad_id, day'],
    ['shard_minute', 'minute'],
    ['ad_dimension', 'ad_id, kind, quarter, value, value2'],
    ['shard_dimension', 'kind, quarter, value, value2'],
  ] as const) {
    const sums = ['valid', 'repeat', 'givt', 'sivt', 'defective', 'test']
      .map((column) => `sum(${column})::float8 as ${column}`)
      .join(', ');
    const read = await ledger.pool.query(
      `select ${keys}, ${sums} from ${table} group by ${keys} order by ${keys}`,
    );
    rows.push({ table, rows: read.rows });
  }
  return rows;
}

describe('rollups', () => {
  test('of a flush are what a recount finds, and so equal', async () => {
    await stored(...COUNTED);
    const found = await look(TRUTH);
    expect(short(found)).toEqual([]);
    // Three hours, two days, three minutes, and of kinds 1 and 2 four rows of ads and three of all.
    expect(found.sums).toMatchObject({ windows: 3, rollups: 3 + 2 + 3 + 8 + 6, rollupsDiffering: 0 });
  });

  test.each([
    ['ad_hour', `hour = $1 and ad_id = 'shoes'`, ['ad_hour shoes 6 5']],
    ['ad_day', `day = $1 and ad_id = 'shoes'`, ['ad_day shoes 10 9']],
    ['shard_minute', 'minute = $1', ['shard_minute 6 5']],
    [
      'ad_dimension',
      `quarter = $1 and ad_id = 'shoes' and kind = 1 and value = 'DE'`,
      ['shard_dimension 1 DE 4 5', 'ad_dimension shoes 1 DE 4 3'],
    ],
    ['shard_dimension', `quarter = $1 and kind = 2 and value2 = 'AT'`, ['shard_dimension 2 AT 3 2']],
    [
      'ad_minute',
      `minute = $1 and ad_id = 'shoes'`,
      ['window shoes 6 5', 'shard_minute 5 6', 'ad_hour shoes 5 6', 'ad_day shoes 9 10'],
    ],
  ])(
    'that are wrong in one row of %s are named, mended, and then found equal',
    async (table, where, names) => {
      await stored(...COUNTED);
      const right = await everyRollup();
      const { rowCount } = await ledger.pool.query(`update ${table} set valid = valid + 1 where ${where}`, [
        new Date(MINUTE),
      ]);
      expect(rowCount).toBe(1);
      expect(short(await look(TRUTH))).toEqual(names);
      await look(TRUTH, ALL, { apply: true });
      expect(await everyRollup()).toEqual(right);
      expect(short(await look(TRUTH))).toEqual([]);
      const { rowCount: written } = await ledger.pool.query('select from rollup_restatement');
      expect(written).toBe(names.filter((name) => !name.startsWith('window')).length);
    },
  );

  test.each(['ad_minute', 'ad_hour', 'ad_day', 'shard_minute', 'ad_dimension', 'shard_dimension'])(
    'of %s that are gone altogether come back',
    async (table) => {
      await stored(...COUNTED);
      const right = await everyRollup();
      await ledger.pool.query(`delete from ${table}`);
      // One at a time: an ad's rows of a day are cut apart then, and still add up.
      await look(TRUTH, ALL, { apply: true, most: 1 });
      expect(await everyRollup()).toEqual(right);
      expect(short(await look(TRUTH))).toEqual([]);
    },
  );

  test('follow their windows where clicks are judged otherwise, in one transaction', async () => {
    await stored(...COUNTED);
    const judged = clicks('shoes', MINUTE, { DE: { valid: 1, repeat: 1, givt: 2 }, AT: { valid: 2 } });
    const found = await look(truthOf(judged, LATER, HATS), ALL, { apply: true });
    expect(short(found)).toEqual([
      'window shoes 5 3',
      'ad_dimension shoes 1 DE 3 1',
      'ad_dimension shoes 2 DE 3 1',
    ]);
    expect(short(await look(truthOf(judged, LATER, HATS)))).toEqual([]);
    const { rows } = await ledger.pool.query(
      `select valid::int, givt::int from ad_hour where ad_id = 'shoes' order by hour`,
    );
    expect(rows).toEqual([
      { valid: 3, givt: 2 },
      { valid: 4, givt: 0 },
    ]);
  });

  test('add what is flushed meanwhile to what is mended', async () => {
    await stored(...COUNTED);
    await ledger.pool.query(`update ad_dimension set valid = 0 where ad_id = 'shoes'`);
    await look(TRUTH, ALL, { apply: true, meanwhile: () => stored(SHOES) });
    expect(short(await look(truthOf(...COUNTED, SHOES)))).toEqual([]);
  });

  test('are mended while two owners flush the same rows: nobody waits in a circle, and all adds up', async () => {
    await addShard(ledger, 1);
    const ads = Array.from({ length: 12 }, (_, index) => `ad-${(index * 7) % 12}`);
    const parts = ads.map((ad) => clicks(ad, MINUTE, { DE: { valid: 1 }, AT: { valid: 1 } }));
    const { rows, rollups } = {
      rows: truthOf(...parts).windows,
      rollups: parts.flatMap((part) => part.rollups),
    };
    const flush = async (shard: number, from: number) => {
      const more = { shard, floor: from, newFloor: from + 1, rows, rollups };
      expect(await storeFlush(ledger.pool, partitionsOf(ledger), flushOf(more))).toEqual({ kind: 'stored' });
    };
    const owner = async (shard: number) => {
      for (let from = 0; from < FLUSHES; from++) await flush(shard, from);
    };
    // What it takes for right is long over: each of its restatements changes every row, and the last look finds it out.
    const mender = async () => {
      for (let time = 0; time < FLUSHES / 4; time++)
        await look({ windows: rows, rollups }, ALL, { apply: true });
    };
    await Promise.all([owner(0), owner(1), mender()]);
    const found = await look({ windows: [], rollups: [] }, ALL, { apply: true });
    expect(new Set(found.rollups.map(({ rollup }) => rollup))).toEqual(new Set(['ad_dimension']));
    expect(short(await look({ windows: [], rollups: [] }))).toEqual([]);
  });

  test('of dimensions are left out where nobody counted them', async () => {
    await stored(...COUNTED);
    await ledger.pool.query(
      `update ad_dimension set valid = 0; update ad_hour set valid = 0 where ad_id = 'hats'`,
    );
    const found = await look({ windows: TRUTH.windows, rollups: [] }, ALL, { withDimensions: false });
    expect(short(found)).toEqual(['ad_hour hats 0 1']);
  });
});

describe('in a part of the time or for some ads', () => {
  const part = (fromMs: number, toMs: number | undefined, ads?: readonly string[]): WindowSelection => ({
    fromMs,
    toMs,
    adIds: ads && new Set(ads),
  });

  test('rollups that are wholly in it are compared, and those of which a window differs', async () => {
    await stored(...COUNTED);
    await ledger.pool.query('update ad_hour set valid = valid + 1; update ad_day set valid = valid + 1');
    await ledger.pool.query('update ad_dimension set valid = valid + 1');
    const minute = part(MINUTE, MINUTE + STEP_MS);
    const truth = truthOf(SHOES);
    expect(short(await look({ ...TRUTH, windows: truth.windows }, minute))).toEqual([]);
    await ledger.pool.query(`update ad_minute set valid = valid + 1 where ad_id = 'shoes' and minute = $1`, [
      new Date(MINUTE),
    ]);
    expect(short(await look({ ...TRUTH, windows: truth.windows }, minute))).toEqual([
      'window shoes 6 5',
      'shard_minute 5 6',
      'ad_dimension shoes 1 AT 3 2',
      'ad_dimension shoes 1 DE 4 3',
      'ad_dimension shoes 2 AT 3 2',
      'ad_dimension shoes 2 DE 4 3',
    ]);
  });

  test('rollups are compared in which an earlier run ended, and where one without an end goes on', async () => {
    await stored(...COUNTED);
    await ledger.pool.query(`update ad_hour set valid = valid + 1 where ad_id = 'hats'`);
    await ledger.pool.query(`update ad_dimension set valid = valid + 1 where ad_id = 'hats' and kind = 1`);
    const truth = { ...TRUTH, windows: truthOf(LATER).windows };
    const found = short(await look(truth, part(MINUTE + 2 * STEP_MS, undefined)));
    expect(found).toEqual(['shard_dimension 1 DE 4 5', 'ad_hour hats 2 1', 'ad_dimension hats 1 DE 2 1']);
  });

  test('nothing is said of all ads together where only some are looked at', async () => {
    await stored(...COUNTED);
    await ledger.pool.query(
      'update shard_minute set valid = 0; update shard_dimension set valid = 0; update ad_day set valid = 0',
    );
    const found = await look(truthOf(HATS), { ...ALL, adIds: new Set(['hats']) });
    expect(short(found)).toEqual(['ad_day hats 0 1']);
  });

  test('a longer run that took late repeats out leaves a shorter one nothing to say of their quarter', async () => {
    await stored(...COUNTED);
    const fewer = clicks('shoes', MINUTE, { DE: { valid: 2, repeat: 1 }, AT: { valid: 2 } });
    const truth = truthOf(fewer, LATER, HATS);
    const late = { ...truth, windows: truth.windows.map((window) => ({ ...window, late: 1 })) };
    await look(late, ALL, { apply: true });
    const found = await look(TRUTH, part(MINUTE, undefined));
    expect(found.windows.map(({ needsLongerReplay }) => needsLongerReplay)).toEqual([true]);
    expect(found.rollups.map(({ rollup, needsLongerReplay }) => [rollup, needsLongerReplay])).toEqual([
      ['ad_dimension', true],
      ['ad_dimension', true],
    ]);
    expect(short(await look(late))).toEqual([]);
  });
});

describe('of a closed period', () => {
  const more = clicks('shoes', MINUTE, { DE: { valid: 7 } });

  test('rollups stay as its minutes do, and are compared where nothing is booked beside them', async () => {
    await stored(...COUNTED);
    await setSettlement(ledger, { closed: MINUTE + HOUR_MS });
    await stored(more);
    expect(await adjustedRows(ledger)).toHaveLength(1);
    const truth = truthOf(...COUNTED, more);
    expect(short(await look(truth))).toEqual([]);
    await ledger.pool.query(`update ad_dimension set valid = valid + 1 where kind = 1 and quarter = $1`, [
      new Date(MINUTE),
    ]);
    const wrong = ['shard_dimension 1 AT 2 3', 'shard_dimension 1 DE 4 6', 'ad_dimension hats 1 DE 2 1'];
    expect(short(await look(truth, ALL, { apply: true }))).toEqual(wrong);
  });

  test('rollups do not follow windows whose difference is booked, also where it is closed meanwhile', async () => {
    await stored(...COUNTED);
    const right = await everyRollup();
    const truth = truthOf(...COUNTED, more);
    const close = () => setSettlement(ledger, { closed: MINUTE + HOUR_MS });
    const found = await look(truth, ALL, { apply: true, meanwhile: close });
    expect(short(found)).toEqual([
      'window shoes 5 12',
      'ad_dimension shoes 1 DE 3 10',
      'ad_dimension shoes 2 DE 3 10',
    ]);
    expect(await everyRollup()).toEqual(right);
    expect(await adjustedRows(ledger)).toHaveLength(1);
    expect(short(await look(truth))).toEqual([]);
  });
});
