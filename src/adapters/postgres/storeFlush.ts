/**
 * The flush (I8): one statement, hence one transaction, moves the checkpoint and adds the delta; where the
 * checkpoint is not the one that the owner knows, it does neither.
 */
import { DatabaseError, type Pool } from 'pg';
import type { Flush, FlushOutcome } from '../../domain/flush.ts';
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
    select ad_id, to_timestamp(minute) as minute, valid, repeat, givt, sivt, defective, test, high, low
    from unnest($9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
      $16::bigint[], $17::bigint[], $18::bigint[])
      as row (ad_id, minute, valid, repeat, givt, sivt, defective, test, high, low)
    where exists (select from moved)
    order by ad_id collate "C", minute
  ), counted as (
    insert into ad_minute as stored (ad_id, minute, valid, repeat, givt, sivt, defective, test, fingerprint_high, fingerprint_low)
    select * from delta
    on conflict (ad_id, minute) do update set
      valid = stored.valid + excluded.valid,
      repeat = stored.repeat + excluded.repeat,
      givt = stored.givt + excluded.givt,
      sivt = stored.sivt + excluded.sivt,
      defective = stored.defective + excluded.defective,
      test = stored.test + excluded.test,
      fingerprint_high = stored.fingerprint_high + excluded.fingerprint_high,
      fingerprint_low = stored.fingerprint_low + excluded.fingerprint_low
  ), buried as (
    insert into dead_letter (shard, incarnation, sequence, index, reason, bytes)
    select $1, $23, sequence, index, reason, bytes
    from unnest($19::bigint[], $20::integer[], $21::text[], $22::bytea[]) as letter (sequence, index, reason, bytes)
    where exists (select from moved)
  )
  select count(*) as moved from moved`,
};

const READ = `select owner, epoch, claim, floor from shard where shard = $1`;

/** SQLSTATE check_violation: here it says that a row's day has no partition. */
const NO_PARTITION = '23514';

/**
 * Stores a flush. May be tried again after any error: it takes effect once.
 * @throws Error where PostgreSQL did not answer, or not with a result.
 */
export async function storeFlush(pool: Pool, partitions: DayPartitions, flush: Flush): Promise<FlushOutcome> {
  await partitions.ensure(flush.rows.map(({ minute }) => minute));
  let moved: boolean;
  try {
    const { rows } = await pool.query<{ moved: string }>(STORE, parameters(flush));
    moved = rows[0]?.moved === '1';
  } catch (error) {
    if (error instanceof DatabaseError && error.code === NO_PARTITION) partitions.forget();
    throw error;
  }
  return moved ? { kind: 'stored' } : explain(pool, flush);
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
    rows.map(({ counts }) => counts.valid),
    rows.map(({ counts }) => counts.repeat),
    rows.map(({ counts }) => counts.givt),
    rows.map(({ counts }) => counts.sivt),
    rows.map(({ counts }) => counts.defective),
    rows.map(({ counts }) => counts.test),
    rows.map(({ counts }) => counts.fingerprintHigh),
    rows.map(({ counts }) => counts.fingerprintLow),
    deadLetters.map(({ sequence }) => sequence),
    deadLetters.map(({ index }) => index),
    deadLetters.map(({ reason }) => reason),
    deadLetters.map(({ bytes }) => Buffer.from(bytes)),
    flush.incarnation,
    flush.claim,
  ];
}
