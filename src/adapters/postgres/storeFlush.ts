/**
 * The flush (I8): one statement, hence one transaction, moves the checkpoint and adds the delta; where the
 * checkpoint is not the one that the owner knows, it does neither.
 */
import type { Pool } from 'pg';
import type { Flush, FlushOutcome } from '../../domain/flush.ts';
import { COUNT_COLUMNS, eachCount } from './countColumns.ts';
import type { DayPartitions } from './dayPartitions.ts';
import { exactNumber } from './pool.ts';

// Rows go in by key, so two owners that write the same rows never wait for each other in a circle.
const STORE = {
  name: 'store-flush',
  text: `
  with moved as (
    update shard set floor = $4, stream_time_ms = $5, arrived_through_ms = greatest(arrived_through_ms, $6),
      records = records + $7, duplicates = duplicates + $8, dead_letters = dead_letters + coalesce(cardinality($19::bigint[]), 0)
    where shard = $1 and epoch = $2 and claim = $24 and floor = $3
    returning shard
  ), delta as (
    select ad_id, to_timestamp(minute) as minute, ${eachCount((column) => column)}
    from unnest($9::text[], $10::bigint[], ${eachCount((_, index) => `$${index + 11}::bigint[]`)})
      as row (ad_id, minute, ${eachCount((column) => column)})
    where exists (select from moved)
    order by ad_id collate "C", minute
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, ${eachCount((column) => column)})
    select * from delta
    on conflict (ad_id, minute) do update set ${eachCount((column) => `${column} = stored.${column} + excluded.${column}`)}
  ), buried as (
    insert into dead_letter (shard, incarnation, sequence, index, reason, bytes)
    select $1, $23, sequence, index, reason, bytes
    from unnest($19::bigint[], $20::integer[], $21::text[], $22::bytea[]) as letter (sequence, index, reason, bytes)
    where exists (select from moved)
  )
  select count(*) as moved from moved`,
};

const READ = `select owner, epoch, claim, floor from shard where shard = $1`;

/**
 * Stores a flush. May be tried again after any error: it takes effect once.
 * @throws Error where PostgreSQL did not answer, or not with a result.
 */
export async function storeFlush(pool: Pool, partitions: DayPartitions, flush: Flush): Promise<FlushOutcome> {
  const minutes = flush.rows.map(({ minute }) => minute);
  const { rows } = await partitions.with(minutes, () =>
    pool.query<{ moved: string }>(STORE, parameters(flush)),
  );
  return rows[0]?.moved === '1' ? { kind: 'stored' } : explain(pool, flush);
}

/** The checkpoint was not where the owner thought: an earlier try went through, or the owner is fenced. */
async function explain(pool: Pool, flush: Flush): Promise<FlushOutcome> {
  const { rows } = await pool.query<{ owner: string; epoch: string; claim: string; floor: string }>(READ, [
    flush.shard,
  ]);
  const row = rows[0];
  if (row === undefined) return { kind: 'fenced', found: 'no row' };
  const sameOwner = exactNumber(row.epoch) === flush.epoch && row.claim === flush.claim;
  if (sameOwner && exactNumber(row.floor) === flush.newFloor) return { kind: 'stored' };
  return {
    kind: 'fenced',
    found: `owner ${row.owner}, epoch ${row.epoch}, claim ${row.claim}, floor ${row.floor}`,
  };
}

function parameters(flush: Flush): unknown[] {
  const { rows, deadLetters } = flush;
  return [
    flush.shard,
    flush.epoch,
    flush.floor,
    flush.newFloor,
    Math.floor(flush.streamTimeMs),
    Math.floor(flush.arrivedThroughMs),
    flush.records,
    flush.duplicates,
    rows.map(({ adId }) => adId),
    rows.map(({ minute }) => minute / 1000),
    ...COUNT_COLUMNS.map(([name]) => rows.map(({ counts }) => counts[name])),
    deadLetters.map(({ sequence }) => sequence),
    deadLetters.map(({ index }) => index),
    deadLetters.map(({ reason }) => reason),
    deadLetters.map(({ bytes }) => Buffer.from(bytes)),
    flush.incarnation,
    flush.claim,
  ];
}
