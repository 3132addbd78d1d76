/** Which clicks are judged by another rule set than the one by which they were counted. */
import type { Pool, PoolClient } from 'pg';
import type { RunStepOutcome } from '../../domain/restatement.ts';
import type { Reclassification } from '../../domain/rulesInForce.ts';
import { milliseconds } from './moments.ts';
import { explainStep, MOVED } from './restate.ts';

const READ = `
  select rule_set_version as version, ${milliseconds('range_from')} as from_ms,
    ${milliseconds('range_to')} as to_ms, ads
  from reclassification order by run`;

// A step of the run: a run that is not the newest any more writes nothing.
const RECORD = `
  with ${MOVED}
  insert into reclassification (run, rule_set_version, range_from, range_to, ads)
  select run, $3::integer, to_timestamp($4::float8), to_timestamp($5::float8), $6::text[] from moved
  returning run`;

interface Row {
  version: number;
  from_ms: number | null;
  to_ms: number;
  ads: string[] | null;
}

/** In the order in which they were made. */
export async function readReclassifications(
  client: Pick<Pool | PoolClient, 'query'>,
): Promise<Reclassification[]> {
  const { rows } = await client.query<Row>(READ);
  return rows.map(({ version, from_ms, to_ms, ads }) => ({
    version,
    fromMs: from_ms ?? undefined,
    toMs: to_ms,
    adIds: ads === null ? undefined : new Set(ads),
  }));
}

/** The run's first step. May be tried again after any error: it takes effect once. */
export async function recordReclassification(
  pool: Pool,
  run: number,
  { version, fromMs, toMs, adIds }: Reclassification,
): Promise<RunStepOutcome> {
  const step = { run, chunk: 1 };
  const { rowCount } = await pool.query(RECORD, [
    run,
    step.chunk,
    version,
    fromMs === undefined ? undefined : fromMs / 1000,
    toMs / 1000,
    adIds && [...adIds],
  ]);
  return rowCount === 1 ? { kind: 'done' } : explainStep(pool, step);
}
