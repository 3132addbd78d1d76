/**
 * All rows of a question as of one moment, however many: through cursors, a portion whenever the reader wants one, so
 * memory is that of a portion (I14). A question of many ads is asked a few ads at a time: PostgreSQL sorts no more than
 * those, and the first rows of 10,000,000 come at once.
 */
import type { Pool, PoolClient } from 'pg';
import type { StoredRow } from '../../domain/aggregates.ts';
import type { OpenedRows, RowPortion } from '../../domain/exportedRows.ts';
import type { Question } from '../../domain/question.ts';
import {
  type CountedRow,
  countedRows,
  readDiffering,
  readRestated,
  storedRowReader,
} from './aggregateRows.ts';
import { Parameters } from './parameters.ts';
import { exactNumber } from './pool.ts';
import { SETTLEMENT, type SettlementRow, toSettlement } from './settlement.ts';

const ADS_A_CURSOR = 10;
const PORTION_ROWS = 5_000;
/** The first portion of wide rows may take long to come. */
const PORTION_BOUND_MS = 300_000;
/** For what the server itself does not end. */
const SILENCE_MS = 1_000;

// The server looks whether this process is there still while a statement runs, and else ends it.
const BEGIN = `
  begin isolation level repeatable read read only;
  set local statement_timeout = ${PORTION_BOUND_MS};
  set local client_connection_check_interval = '250ms'`;

const ARRIVED = 'select min(arrived_through_ms) as arrived from shard';

/**
 * Begins to read.
 * @param marksMax most windows that differ, and most that were restated
 * @param signal ends the reading, with the statement that is under way
 * @throws Error where PostgreSQL does not answer; then everything is closed
 */
export async function openRows(
  pool: Pool,
  question: Question,
  marksMax: number,
  signal: AbortSignal,
): Promise<OpenedRows> {
  signal.throwIfAborted();
  const session = new Session(await pool.connect(), signal);
  return session.guard(async (client) => {
    await client.query(BEGIN);
    const settlement = await client.query<SettlementRow>(SETTLEMENT);
    const restated = await readRestated(client, question, undefined, marksMax);
    const differing = await readDiffering(client, question, undefined, marksMax);
    const arrived = await client.query<{ arrived: string | null }>(ARRIVED);
    const portions = portionsOf(client, question);
    return {
      settlement: toSettlement(settlement.rows[0]),
      restated,
      differing,
      arrivedThroughMs: exactNumber(arrived.rows[0]?.arrived ?? '0'),
      next: () => session.guard(async () => (await portions.next()).value ?? undefined),
      close: () => session.end(),
    };
  });
}

async function* portionsOf(client: PoolClient, question: Question): AsyncGenerator<RowPortion, undefined> {
  const parts = fewAdsEach(question);
  for (const [place, part] of parts.entries()) {
    const parameters = new Parameters();
    const rows = countedRows(part, part.range, undefined, parameters, () => '');
    await client.query(
      `declare exported no scroll cursor for ${rows} order by "group" collate "C", bucket`,
      parameters.values,
    );
    for (;;) {
      const fetch = {
        text: `fetch ${PORTION_ROWS} from exported`,
        query_timeout: PORTION_BOUND_MS + SILENCE_MS,
      };
      const { rows: found } = await client.query<CountedRow>(fetch);
      const rows = found.map(storedRowReader(part));
      const progress = (place + partBefore(part, rows[0])) / parts.length;
      yield { rows, progress };
      if (found.length < PORTION_ROWS) break;
    }
    await client.query('close exported');
  }
  return undefined;
}

/** About which part of everything comes before a row, where rows are by time, or by ads that are known and time. */
function partBefore({ ads, groupBy, range }: Question, row: StoredRow | undefined): number {
  // An empty portion is the last one.
  if (row === undefined) return 1;
  const ofTime = Math.max(0, row.bucketMs - range.fromMs) / (range.toMs - range.fromMs);
  if (groupBy.length === 0) return ofTime;
  if (ads === undefined || groupBy.length > 1 || groupBy[0] !== 'ad_id') return 0;
  return (ads.findIndex(({ ad_id }) => ad_id === row.group[0]) + ofTime) / ads.length;
}

/** Rows by ad first are those of some ads after those of others. */
function fewAdsEach(question: Question): readonly Question[] {
  const { ads, groupBy } = question;
  if (ads === undefined || groupBy[0] !== 'ad_id') return [question];
  const sorted = ads.toSorted((left, right) =>
    Buffer.compare(Buffer.from(left.ad_id), Buffer.from(right.ad_id)),
  );
  const parts: Question[] = [];
  for (let from = 0; from < sorted.length; from += ADS_A_CURSOR)
    parts.push({ ...question, ads: sorted.slice(from, from + ADS_A_CURSOR) });
  return parts;
}

/** One connection in one snapshot; what fails in it, or is no longer wanted, ends it. */
class Session {
  readonly #client: PoolClient;
  readonly #signal: AbortSignal;
  #isEnded = false;

  constructor(client: PoolClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    // A connection that breaks while the reader is at work shows with the next statement.
    client.on('error', ignore);
    signal.addEventListener('abort', this.end);
  }

  async guard<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    try {
      if (this.#isEnded) throw new Error('these rows are closed');
      this.#signal.throwIfAborted();
      return await work(this.#client);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** The connection is not used again: its transaction is still open. */
  readonly end = (): void => {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#signal.removeEventListener('abort', this.end);
    this.#client.release(true);
  };
}

function ignore(): void {}
