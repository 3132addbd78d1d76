/**
 * Where stored rollups and the minutes they are of part, all of them looked at, in plain SQL: for tests with little stored.
 * `reconcile` says the same of large installations, and what the dimensions must be.
 */
import type { Pool } from 'pg';

const COUNTS = ['valid', 'repeat', 'givt', 'sivt', 'defective', 'test'];
const SUMS = COUNTS.map((count) => `sum(${count}) as ${count}`).join(', ');

interface Summed {
  readonly rollup: string;
  /** Of the rollup. */
  readonly key: readonly string[];
  /** The same of what it is the sum of. */
  readonly of: { readonly table: string; readonly key: readonly string[] };
}

const SUMMED: readonly Summed[] = [
  {
    rollup: 'ad_hour',
    key: ['ad_id', 'hour'],
    of: { table: 'ad_minute', key: ['ad_id', `date_bin('1 hour', minute, '2000-01-01 00:00+00')`] },
  },
  {
    rollup: 'ad_day',
    key: ['ad_id', 'day'],
    of: { table: 'ad_minute', key: ['ad_id', `date_bin('1 day', minute, '2000-01-01 00:00+00')`] },
  },
  { rollup: 'shard_minute', key: ['minute'], of: { table: 'ad_minute', key: ['minute'] } },
  {
    rollup: 'shard_dimension',
    key: ['kind', 'quarter', 'value', 'value2'],
    of: { table: 'ad_dimension', key: ['kind', 'quarter', 'value', 'value2'] },
  },
];

/** The rows whose counts are not the sums that they must be: the name of the rollup, and the row's key. */
export async function wrongRollups(pool: Pool): Promise<string[]> {
  const wrong: string[] = [];
  for (const text of [...SUMMED.map(notSums), BEYOND_MINUTES]) {
    const { rows } = await pool.query<{ wrong: string }>(text);
    wrong.push(...rows.map((row) => row.wrong));
  }
  return wrong;
}

function notSums({ rollup, key, of }: Summed): string {
  const names = key.join(', ');
  return `
    select concat_ws(' ', '${rollup}', ${names}) as wrong
    from (select ${names}, ${SUMS} from ${rollup} group by ${names}) as stored
      full join (select ${of.key.map((part, index) => `${part} as ${key[index]}`).join(', ')}, ${SUMS}
        from ${of.table} group by ${key.map((_, index) => index + 1).join(', ')}) as sums using (${names})
    where ${COUNTS.map((count) => `stored.${count} is distinct from sums.${count}`).join(' or ')}
    order by 1`;
}

// Clicks of which no value is known are in no row: so the rows may have less than the minutes, and never more.
const BEYOND_MINUTES = `
  select concat_ws(' ', 'ad_dimension', ad_id, kind, quarter) as wrong
  from (select ad_id, kind, quarter, ${SUMS} from ad_dimension group by ad_id, kind, quarter) as rows
    left join (select ad_id, date_bin('15 minutes', minute, '2000-01-01 00:00+00') as quarter, ${SUMS}
      from ad_minute group by 1, 2) as sums using (ad_id, quarter)
  where ${COUNTS.map((count) => `rows.${count} > coalesce(sums.${count}, 0) or rows.${count} < 0`).join(' or ')}
  order by 1`;
