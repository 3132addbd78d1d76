/** What may have changed since a reading: nothing that did is missed, whenever it was committed. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readChanges } from '../../../src/adapters/postgres/readChanges.ts';
import { storeFlush } from '../../../src/adapters/postgres/storeFlush.ts';
import { type ChangedRows, type ChangeMark, NO_MARK } from '../../../src/domain/changedRows.ts';
import {
  addShard,
  delta,
  emptyLedger,
  flushOf,
  inSession,
  type Ledger,
  MINUTE,
  openLedger,
  partitionsOf,
} from './ledger.ts';

const MINUTE_MS = 60_000;
const ADS = ['a', 'b'].map((adId) => ({ adId, fromMs: MINUTE }));

let ledger: Ledger;
beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());
beforeEach(async () => {
  await emptyLedger(ledger);
  await addShard(ledger, 0);
});

let floor = 0;
beforeEach(() => {
  floor = 0;
});

/** Counts a valid click of each. */
async function flush(...windows: readonly (readonly [adId: string, minute: number])[]): Promise<void> {
  const rows = windows.map(([adId, minute]) => delta(adId, MINUTE + minute * MINUTE_MS, { valid: 1 }));
  const outcome = await storeFlush(
    ledger.pool,
    partitionsOf(ledger),
    flushOf({ rows, floor, newFloor: floor + 1 }),
  );
  expect(outcome).toEqual({ kind: 'stored' });
  floor += 1;
}

const readAll = () => readChanges(ledger.pool, { fresh: ADS, known: [], mark: NO_MARK });
const readSince = (mark: ChangeMark) => readChanges(ledger.pool, { fresh: [], known: ADS, mark });
const shown = ({ rows }: ChangedRows) =>
  rows.map(({ adId, minute, valid }) => `${adId} ${(minute - MINUTE) / MINUTE_MS} ${valid}`).toSorted();

describe('changes', () => {
  test('are rows that were added to since, of followed ads and minutes, and none where nothing moved', async () => {
    await flush(['a', 0], ['a', 1], ['b', 0], ['a', -1], ['c', 0]);
    const all = await readAll();
    expect(shown(all)).toEqual(['a 0 1', 'a 1 1', 'b 0 1']);
    expect(shown(await readSince(all.mark))).toEqual([]);
    await flush(['a', 1], ['b', 7], ['c', 1], ['b', -1]);
    const changed = await readSince(all.mark);
    expect(shown(changed)).toEqual(['a 1 2', 'b 7 1']);
    expect(shown(await readSince(changed.mark))).toEqual([]);
  });

  test('are seen though they were written before the reading before, and committed after it', async () => {
    await flush(['a', 0]);
    const before = await readAll();
    await inSession(ledger, async (client) => {
      await client.query('begin');
      await client.query(`update ad_minute set valid = 50 where ad_id = 'a'`);
      await client.query('update reconcile_run set chunk = chunk + 1');
      // Others come and go meanwhile, so numbers have gone on.
      await flush(['b', 3]);
      const during = await readSince(before.mark);
      expect(shown(during)).toContain('b 3 1');
      expect(shown(during)).not.toContain('a 0 50');
      await client.query('commit');
      expect(shown(await readSince(during.mark))).toContain('a 0 50');
    });
  });

  test('are found across the end of the numbers of transactions', async () => {
    await flush(['a', 0]);
    const { mark } = await readAll();
    await flush(['b', 0]);
    // As if the numbers had begun anew between the two: the last before the end, and one after it.
    const early = { ...mark, transaction: (mark.transaction + 2 ** 32 - 2 ** 30) % 2 ** 32 };
    expect(shown(await readSince(early))).toEqual(['a 0 1', 'b 0 1']);
    const late = { ...mark, transaction: (mark.transaction + 2 ** 30) % 2 ** 32 };
    expect(shown(await readSince(late))).toEqual([]);
  });

  test('come with the windows that differ, and how far minutes are settled', async () => {
    await flush(['a', 0], ['b', 0]);
    const { mark } = await readAll();
    await ledger.pool.query(
      `insert into drift (ad_id, minute, run) select ad_id, minute, 1 from ad_minute where ad_id = 'b'`,
    );
    await ledger.pool.query('update settlement set watched_through = $1, settled_through = $1', [
      new Date(MINUTE + MINUTE_MS),
    ]);
    const { differing, settlement, rows } = await readSince(mark);
    expect(rows).toEqual([]);
    expect(differing).toEqual([{ adId: 'b', minute: MINUTE }]);
    expect(settlement).toMatchObject({ settledThroughMs: MINUTE + MINUTE_MS });
  });

  test('cannot be told where PostgreSQL has gone back', async () => {
    await flush(['a', 0]);
    const { mark, isSetBack } = await readAll();
    expect(isSetBack).toBe(false);
    await ledger.pool.query('update shard set floor = floor - 1');
    expect((await readSince(mark)).isSetBack).toBe(true);
  });
});
