/** Borders of days, weeks and months are where PostgreSQL's own zone rules have them, in every zone that both know. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Buckets } from '../../../src/domain/buckets.ts';
import { isTimeZone } from '../../../src/domain/timeZone.ts';
import { type Ledger, openLedger } from './ledger.ts';

const RANGE = { fromMs: Date.UTC(2021, 0), toMs: Date.UTC(2026, 0) };

let ledger: Ledger;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());

// A border is right where the date changes with it: it is another one a millisecond before.
const WRONG = `
  select name, width, border
  from unnest($1::text[], $2::text[], $3::timestamptz[]) as given (name, width, border)
  where date_trunc(width, border at time zone name) = date_trunc(width, (border - interval '1 millisecond') at time zone name)`;

test('the first moment of each day, week and month is the first of its date', {
  timeout: 120_000,
}, async () => {
  const { rows: known } = await ledger.pool.query<{ name: string }>('select name from pg_timezone_names');
  const zones = known
    .map(({ name }) => name)
    .filter((name) => Intl.supportedValuesOf('timeZone').includes(name));
  expect(zones.length).toBeGreaterThan(300);
  expect(zones.every(isTimeZone)).toBe(true);
  const wrong: unknown[] = [];
  const count = { borders: 0 };
  for (const zone of zones) {
    const names: string[] = [];
    const widths: string[] = [];
    const borders: string[] = [];
    for (const width of ['DAY', 'WEEK', 'MONTH'] as const) {
      for (const border of new Buckets(RANGE, width, zone).borders ?? []) {
        names.push(zone);
        widths.push(width.toLowerCase());
        borders.push(new Date(border).toISOString());
      }
    }
    count.borders += borders.length;
    const { rows } = await ledger.pool.query(WRONG, [names, widths, borders]);
    wrong.push(...rows);
  }
  expect(count.borders).toBeGreaterThan(500_000);
  expect(wrong).toEqual([]);
});
