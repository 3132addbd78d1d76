/** Reads dead letters in pages: the newest first for people, or those that wait to be redriven, in stream order. */
import type { Pool } from 'pg';
import type { DeadLetterReason, DeadLetterSelection, StoredDeadLetter } from '../../domain/deadLetter.ts';
import type { Position } from '../../domain/position.ts';
import { exactNumber } from './pool.ts';

/** Letters in a page: each may be as large as a message of the broker, 1 MiB. */
const PAGE_LETTERS = 50;

const KEY = 'shard, incarnation, sequence, index';
const COLUMNS = `${KEY}, reason, bytes, buried_at, redriven_at, redriven_shard, redriven_incarnation, redriven_sequence`;
const SELECTED = `($1::integer is null or shard = $1) and ($2::bigint is null or sequence = $2)
    and ($3::integer is null or index = $3) and ($4::text is null or reason = $4)`;

const NEWEST = `
  select ${COLUMNS} from dead_letter
  where ${SELECTED} and ($5::integer is null or (buried_at, ${KEY}) <
    (select buried_at, ${KEY} from dead_letter where (${KEY}) = ($5, $6::text, $7::bigint, $8::integer)))
  order by buried_at desc, shard desc, incarnation desc, sequence desc, index desc
  limit $9`;

const WAITING = `
  select ${COLUMNS} from dead_letter
  where redriven_at is null and ${SELECTED}
    and ($5::integer is null or (${KEY}) > ($5, $6::text, $7::bigint, $8::integer))
  order by ${KEY}
  limit $9`;

const COUNT = `
  select count(*) as letters, count(redriven_at) as redriven from dead_letter where ${SELECTED}`;

interface Row {
  shard: number;
  incarnation: string;
  sequence: string;
  index: number;
  reason: DeadLetterReason;
  bytes: Buffer;
  /** The driver gives -infinity as a number. */
  buried_at: Date | number;
  redriven_at: Date | null;
  redriven_shard: number | null;
  redriven_incarnation: string | null;
  redriven_sequence: string | null;
}

/** The newest `limit` of the selected letters. */
export async function* newestDeadLetters(
  pool: Pool,
  selection: DeadLetterSelection,
  limit: number,
): AsyncGenerator<StoredDeadLetter> {
  yield* paged(pool, NEWEST, selection, limit);
}

/** Those of the selected letters that are not redriven, each shard's in the order of its stream. */
export async function* waitingDeadLetters(
  pool: Pool,
  selection: DeadLetterSelection,
): AsyncGenerator<StoredDeadLetter> {
  yield* paged(pool, WAITING, selection, Number.POSITIVE_INFINITY);
}

/** How many letters are selected, and how many of them are redriven. */
export async function countDeadLetters(
  pool: Pool,
  selection: DeadLetterSelection,
): Promise<{ letters: number; redriven: number }> {
  const { rows } = await pool.query<{ letters: string; redriven: string }>(COUNT, valuesOf(selection));
  return { letters: exactNumber(rows[0]?.letters ?? '0'), redriven: exactNumber(rows[0]?.redriven ?? '0') };
}

/** Each page starts after the last letter of the page before, so letters that come meanwhile shift nothing. */
async function* paged(
  pool: Pool,
  text: string,
  selection: DeadLetterSelection,
  limit: number,
): AsyncGenerator<StoredDeadLetter> {
  let last: Position | undefined;
  for (let left = limit; left > 0; left -= PAGE_LETTERS) {
    const asked = Math.min(left, PAGE_LETTERS);
    const after = [last?.shard, last?.incarnation, last?.sequence, last?.index];
    const { rows } = await pool.query<Row>(text, [...valuesOf(selection), ...after, asked]);
    for (const row of rows) {
      const letter = toLetter(row);
      last = letter;
      yield letter;
    }
    if (rows.length < asked) return;
  }
}

function valuesOf({ shard, sequence, index, reason }: DeadLetterSelection): unknown[] {
  return [shard, sequence, index, reason];
}

function toLetter(row: Row): StoredDeadLetter {
  const { redriven_at, redriven_shard, redriven_incarnation, redriven_sequence } = row;
  const isRedriven =
    redriven_at !== null &&
    redriven_shard !== null &&
    redriven_incarnation !== null &&
    redriven_sequence !== null;
  return {
    shard: row.shard,
    incarnation: row.incarnation,
    sequence: exactNumber(row.sequence),
    index: row.index,
    reason: row.reason,
    bytes: row.bytes,
    buriedMs: row.buried_at.valueOf(),
    redriven: isRedriven
      ? {
          shard: redriven_shard,
          incarnation: redriven_incarnation,
          sequence: exactNumber(redriven_sequence),
          atMs: redriven_at.valueOf(),
        }
      : undefined,
  };
}
