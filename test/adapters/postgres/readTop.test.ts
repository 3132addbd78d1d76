/** The largest of more ads than the first places of the days' lists hold, over a real PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTop } from '../../../src/adapters/postgres/readTop.ts';
import { COUNTS, countOf } from '../../../src/domain/ranking.ts';
import { DEPTHS } from '../../../src/domain/rankingByDay.ts';
import type { DispositionCounts } from '../../../src/domain/windowCounts.ts';
import { type Ledger, openLedger, partitionsOf } from './ledger.ts';

const DAY_MS = 86_400_000;
const FROM_MS = Date.UTC(2025, 9, 1);
const ADS = 4 * (DEPTHS[0] ?? 0);
const MOST = 20;

interface DayRow extends DispositionCounts {
  readonly ad_id: string;
  readonly day: Date;
}

let ledger: Ledger;
let rows: DayRow[] = [];
beforeAll(async () => {
  ledger = await openLedger();
  await partitionsOf(ledger).ensure([FROM_MS, FROM_MS + DAY_MS]);
  // Each disposition is most frequent with other ads: whoever has most of one has little of the others.
  const found = await ledger.pool.query<DayRow>(
    `insert into ad_day (ad_id, day, valid, repeat, givt, sivt, defective, test)
     select 'ad-' || number, to_timestamp($1::float8 / 1000) + day * interval '1 day', ${[0, 1, 2, 3, 4, 5]
       .map((place) => `100000 / (1 + (number * 7 + day * 3 + ${place} * $2::bigint / 6) % $2::bigint)`)
       .join(', ')}
     from generate_series(0, $2::bigint - 1) as number, generate_series(0, 1) as day
     returning ad_id, day, valid::float8, repeat::float8, givt::float8, sivt::float8, defective::float8, test::float8`,
    [FROM_MS, ADS],
  );
  ({ rows } = found);
});
afterAll(() => ledger.end());

test.each(COUNTS)('the ads with most %s are those of a plain sum, over one day and two', async (count) => {
  for (const days of [1, 2]) {
    const range = { fromMs: FROM_MS, toMs: FROM_MS + days * DAY_MS };
    const question = {
      ads: undefined,
      range,
      width: 'WHOLE',
      timeZone: 'UTC',
      groupBy: ['ad_id'],
      filters: [],
    } as const;
    const { entries } = await readTop(ledger.pool, { question, count, most: MOST });
    const sums = new Map<string, number>();
    for (const row of rows) {
      if (row.day.getTime() < range.toMs)
        sums.set(row.ad_id, (sums.get(row.ad_id) ?? 0) + countOf(row, count));
    }
    const plain = [...sums].sort(
      ([leftId, left], [rightId, right]) => right - left || (leftId < rightId ? -1 : 1),
    );
    expect(entries.map((entry) => [entry.value, countOf(entry, count)])).toEqual(plain.slice(0, MOST));
  }
});
