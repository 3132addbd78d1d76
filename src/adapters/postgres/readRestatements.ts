/** Reads recorded changes of counts, the newest first. */
import type { Pool } from 'pg';
import type { RestatementCause, RestatementSelection, StoredRestatement } from '../../domain/storedWindow.ts';
import { eachCount } from './countColumns.ts';
import { exactNumber } from './pool.ts';
import { totals } from './readWindow.ts';

const READ = `
  select id, ad_id, minute, cause, run, ${eachCount((column) => `before_${column}, after_${column}`)}, late,
    rule_set_version, streams, revision, booked_in, note, applied_at
  from restatement
  where ($1::text is null or ad_id = $1) and ($2::bigint is null or minute >= to_timestamp($2::bigint))
    and ($3::bigint is null or minute < to_timestamp($3::bigint))
    and ($4::float8 is null or applied_at >= to_timestamp($4::float8))
    and ($5::float8 is null or applied_at < to_timestamp($5::float8)) and ($6::text is null or cause = $6)
    and ($7::bigint is null or run = $7) and ($8::bigint is null or booked_in = to_timestamp($8::bigint))
    and ($9::bigint is null or id < $9)
  order by id desc
  limit $10`;

interface Row {
  id: string;
  ad_id: string;
  minute: Date;
  cause: RestatementCause;
  run: string | null;
  late: string;
  rule_set_version: number;
  streams: Record<string, { incarnation: string; from: number; through: number }>;
  revision: number | null;
  booked_in: Date | null;
  note: string | null;
  applied_at: Date;
}

export async function readRestatements(
  pool: Pool,
  selection: RestatementSelection,
  most: number,
): Promise<StoredRestatement[]> {
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1_000);
  const { rows } = await pool.query<Row>(READ, [
    selection.adId,
    seconds(selection.fromMs),
    seconds(selection.toMs),
    seconds(selection.appliedFromMs),
    seconds(selection.appliedToMs),
    selection.cause,
    selection.run,
    seconds(selection.bookedInMs),
    selection.beforeId,
    most,
  ]);
  return rows.map((row) => ({
    id: exactNumber(row.id),
    adId: row.ad_id,
    minute: row.minute.getTime(),
    cause: row.cause,
    run: row.run === null ? undefined : exactNumber(row.run),
    before: totals({ ...row }, 'before_'),
    after: totals({ ...row }, 'after_'),
    late: exactNumber(row.late),
    ruleSetVersion: row.rule_set_version,
    streams: Object.entries(row.streams).map(([shard, { incarnation, from, through }]) => {
      return { shard: Number(shard), incarnation, fromSequence: from, throughSequence: through };
    }),
    revision: row.revision ?? undefined,
    bookedInMs: row.booked_in?.getTime(),
    note: row.note ?? undefined,
    appliedMs: row.applied_at.getTime(),
  }));
}
