/**
 * Who a flush has seen, united with who is stored: the rows of `ad_people` as they are after it.
 *
 * A count is never read to be written back (I10); a sketch may be, because only the shard's owner writes its rows, only in
 * flushes, and a flush takes effect only where the checkpoint is still the one under which these rows were read (I8, I9).
 * What was written twice is there once.
 */
import type { Pool } from 'pg';
import { errorText } from '../../domain/errorText.ts';
import type { Flush } from '../../domain/flush.ts';
import { People, peopleMonthOf } from '../../domain/people.ts';
import { type PeopleSpan, spansAround } from '../../domain/peopleSpan.ts';
import { numberArray } from './arrayLiteral.ts';
import { exactNumber } from './pool.ts';

export interface PeopleRow extends PeopleSpan {
  readonly adId: string;
  readonly sketch: Buffer;
}

// No row at all where the checkpoint is not where the flush begins: then what is stored is not what it adds to. The range of
// time is for the planner, which so looks into the days that are needed.
const READ = {
  name: 'read-flushed-people',
  text: `
  select stored.ad_id, stored.hours, extract(epoch from stored.start)::bigint as start, stored.sketch
  from shard left join lateral (
    select people.* from unnest($5::text[], $6::smallint[], $7::bigint[]) as wanted (ad_id, hours, start)
    join ad_people as people on people.ad_id = wanted.ad_id and people.hours = wanted.hours
      and people.start = to_timestamp(wanted.start) and people.shard = $1
  ) as stored on true
  where shard.shard = $1 and shard.epoch = $2 and shard.claim = $3 and shard.floor = $4`,
};

interface StoredRow {
  readonly ad_id: string | null;
  readonly hours: 1 | 24;
  readonly start: string;
  readonly sketch: Buffer;
}

/**
 * The rows that the flush changes, by key. undefined: the checkpoint is not where the flush begins.
 * @throws Error that names the row whose sketch is damaged; Error where PostgreSQL did not answer
 */
export async function unitePeople(pool: Pool, flush: Flush): Promise<PeopleRow[] | undefined> {
  if (flush.people.length === 0) return [];
  const seen = seenPeople(flush);
  const spans = [...seen.values()];
  const { rows } = await pool.query<StoredRow>(READ, [
    flush.shard,
    flush.epoch,
    flush.claim,
    flush.floor,
    spans.map(({ adId }) => adId),
    numberArray(spans.map(({ hours }) => hours)),
    numberArray(spans.map(({ startMs }) => startMs / 1000)),
  ]);
  if (rows.length === 0) return undefined;
  const stored = new Map<string, Buffer>();
  for (const { ad_id, hours, start, sketch } of rows)
    if (ad_id !== null) stored.set(keyOf(ad_id, { hours, startMs: exactNumber(start) * 1000 }), sketch);
  const united: PeopleRow[] = [];
  for (const [key, span] of seen) {
    const { adId, hours, startMs, keys } = span;
    const before = stored.get(key);
    const people = before === undefined ? new People(peopleMonthOf(startMs)) : decoded(before, span, flush);
    for (const some of keys) people.add(some);
    const sketch = people.encode();
    // Most of a busy ad's people come again and again.
    if (before === undefined || !sketch.equals(before)) united.push({ adId, hours, startMs, sketch });
  }
  return united;
}

/** Whoever has to mend a damaged row must know which it is: no flush of its shard goes through until then. */
function decoded(sketch: Buffer, { adId, hours, startMs }: Seen, { shard }: Flush): People {
  try {
    return People.decode(sketch, peopleMonthOf(startMs));
  } catch (error) {
    const key = `shard ${shard}, ad_id ${JSON.stringify(adId)}, hours ${hours}, start ${new Date(startMs).toISOString()}`;
    throw new Error(`the row of ad_people of ${key} is damaged: ${errorText(error)}`, { cause: error });
  }
}

interface Seen extends PeopleSpan {
  readonly adId: string;
  readonly keys: ReadonlySet<bigint>[];
}

/** By the row's key. */
function seenPeople({ people }: Flush): Map<string, Seen> {
  const seen = new Map<string, Seen>();
  for (const { adId, hour, keys } of people) {
    for (const span of spansAround(hour)) {
      const key = keyOf(adId, span);
      const known = seen.get(key);
      if (known === undefined) seen.set(key, { ...span, adId, keys: [keys] });
      else known.keys.push(keys);
    }
  }
  return seen;
}

function keyOf(adId: string, { hours, startMs }: PeopleSpan): string {
  return `${hours} ${startMs} ${adId}`;
}

/**
 * A piece of SQL that writes them where the checkpoint has moved.
 * @param first the number of the first of four parameters
 * @param closed whether some of the flush's minutes may be final: a row of which all are stays as it is
 */
export function keptPeople(first: number, closed: boolean): string {
  return `
  people as (
    insert into ad_people (shard, ad_id, hours, start, sketch)
    select $1, ad_id, hours, to_timestamp(start), sketch
    from unnest($${first}::text[], $${first + 1}::smallint[], $${first + 2}::bigint[], $${first + 3}::bytea[])
      as row (ad_id, hours, start, sketch)
    where exists (select from moved)
      ${closed ? "and to_timestamp(start) + hours * interval '1 hour' > (select closed_through from open)" : ''}
    on conflict (ad_id, hours, start, shard) do update set sketch = excluded.sketch
  )`;
}

/** The values of its parameters. */
export function peopleParameters(rows: readonly PeopleRow[]): unknown[] {
  return [
    rows.map(({ adId }) => adId),
    numberArray(rows.map(({ hours }) => hours)),
    numberArray(rows.map(({ startMs }) => startMs / 1000)),
    rows.map(({ sketch }) => sketch),
  ];
}
