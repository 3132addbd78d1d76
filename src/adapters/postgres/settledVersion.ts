/**
 * The version of settled counts: what a remembered answer is held against. It is the moment at which the part's last
 * minute was settled, and the words of its days and slots of ads, read in the snapshot in which the rows are read.
 *
 * - From that settling on the part's rows change only with a late flush or a restatement (I13). Each replaces the words of
 *   what it touches in its own statement, so no snapshot has one without the other: two snapshots with one version
 *   have the same rows. A reader that is slow may remember old rows, but only under their own version.
 * - Words and moments do not come again after a ledger was set back. A number would.
 */
import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { RangePart, Recall } from '../../domain/settledPart.ts';

/** The first byte of SHA-256 is the same on every server and release, as PostgreSQL's own hashes need not be. */
function slotOf(adId: string): string {
  return `(get_byte(sha256(convert_to(${adId}, 'UTF8')), 0) & 63)`;
}

/** The first 64 bits of a random UUID: 60 that are random, and its version. */
const RANDOM_WORD = `('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint`;

/**
 * A part of a statement that changes minutes which may be watched. It takes the words before any count is touched
 * (`AFTER_RAISED`), by key: two statements that change an ad's day come one after the other, and never wait in a circle.
 * @param changes a query of the `ad_id` and `minute` of what is changed
 */
export function raised(changes: string): string {
  return `
  raised as (
    insert into settled_version (day, slot, word)
    select day, slot, ${RANDOM_WORD} from (
      select distinct date_trunc('day', minute, 'UTC') as day, ${slotOf('ad_id')} as slot from (${changes}) as change
    ) as touched
    order by day, slot
    on conflict (day, slot) do update set word = excluded.word
    returning day
  )`;
}

/** A condition that is true, once the words are replaced. */
export const AFTER_RAISED = '(select count(*) from raised) >= 0';

// A part that begins in the middle of a day depends on the word of that day. Words are random, so those of many days and slots
// together are as good as one: any change gives another. That takes 4 ms for a year in which everything was changed.
const VERSION = {
  name: 'read-settled-version',
  text: `
  with asked as (
    select array_agg(distinct ${slotOf('ad_id')}) as slots from unnest($3::text[]) as ad_id
  )
  select slots,
    (select extract(epoch from settled_at) || ' ' || run from settled where through >= to_timestamp($2::bigint)
     order by through limit 1) as settling,
    (select bit_xor(word) from settled_version
     where day >= date_trunc('day', to_timestamp($1::bigint), 'UTC') and day < to_timestamp($2::bigint)
       and ($3::text[] is null or slot = any(slots))) as words
  from asked`,
};

interface VersionRow {
  readonly slots: number[] | null;
  readonly settling: string | null;
  readonly words: string | null;
}

/** A part of a question, as it is asked of the tables. */
export interface AskedPart {
  /** Everything besides ads and range on which the rows depend: nothing that changes without a version may be left out. */
  readonly what: readonly unknown[];
  /** In any order; undefined: all. */
  readonly adIds: readonly string[] | undefined;
  readonly part: RangePart;
}

/**
 * The rows of a part: remembered ones where it is settled.
 * @param client in the snapshot in which `read` reads
 */
export async function recallSettled<T>(
  client: Pick<PoolClient, 'query'>,
  recall: Recall,
  asked: AskedPart,
  read: () => Promise<T>,
): Promise<T> {
  const { what, adIds, part } = asked;
  const { fromMs, toMs, isSettled } = part;
  if (!isSettled) return read();
  const values = [fromMs / 1_000, toMs / 1_000, adIds === undefined ? undefined : [...adIds]];
  const { rows } = await client.query<VersionRow>({ ...VERSION, values });
  const { slots = null, settling = null, words } = rows[0] ?? {};
  // No settling is known that reaches so far.
  if (settling === null) return read();
  const question = createHash('sha256').update(JSON.stringify([what, fromMs, toMs, adIds?.toSorted()]));
  return recall(
    {
      fromMs,
      toMs,
      question: question.digest('base64url'),
      version: `${settling} ${words ?? ''}`,
      slots: slots ?? undefined,
    },
    read,
  );
}
