/**
 * AuditService on a whole installation, through the query service's port: what it says of windows and clicks is what was
 * sent, and whatever is altered in the counts is found.
 */
import { status } from '@grpc/grpc-js';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient, type IngestClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { clickSubject, listShards, readStreamState } from '../../src/adapters/nats/clickStreams.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import type { AuditedClick__Output as AuditedClick } from '../../src/contract/generated/clickledger/v1/AuditedClick.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { Receipt__Output as Receipt } from '../../src/contract/generated/clickledger/v1/Receipt.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { AuditClient } from '../support/auditClient.ts';
import { recordOf, uuid7At } from '../support/clicks.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';
import { until, untilStored } from './until.ts';

const MINUTE_MS = 60_000;
const LISTED = 10_000;
const CODES = { VALID: 1, REPEAT: 2, GIVT: 3, SIVT: 4, DEFECTIVE: 5, TEST: 6 } as const;

/** As audit.proto says how a third party computes it, with nothing of the code that is examined. */
function fingerprint(clicks: readonly (readonly [clickId: string, disposition: keyof typeof CODES])[]) {
  let [high, low] = [0n, 0n];
  for (const [clickId, disposition] of clicks) {
    const id = Buffer.from(clickId.replaceAll('-', ''), 'hex');
    const hash = Bun.hash.xxHash64(Buffer.concat([id, Buffer.of(CODES[disposition])]), 0x66696e6765727072n);
    high += hash >> 32n;
    low += hash & 0xffff_ffffn;
  }
  return `${high.toString(16).padStart(16, '0')}${low.toString(16).padStart(16, '0')}`;
}

const code = (wanted: status) => expect.objectContaining({ code: wanted });

describe('audits', { timeout: 240_000 }, () => {
  let installation: Installation;
  let pool: Pool;
  let audits: AuditClient;
  let ingest: IngestClient;
  let broker: Broker;
  const startMs = Date.now();
  const minute = Math.floor(startMs / MINUTE_MS) * MINUTE_MS - 10 * MINUTE_MS;
  let stored = 0;
  const id = (number: number) => formatUuid(uuid7At(startMs, number));
  const click = (number: number, changes: Click = {}): Click => {
    return { ad_id: 'shoes', click_id: id(number), event_time_ms: minute + number, ...changes };
  };

  async function send(...clicks: Click[]): Promise<Receipt[]> {
    const { results } = await ingest.batchIngestClicks({ source: 'test', clicks });
    return results.map(({ status: taken, receipt }) => {
      expect(taken).toBe('ACCEPTED');
      if (receipt === null) throw new Error('no receipt');
      return receipt;
    });
  }

  async function untilMoreStored(records: number): Promise<void> {
    stored += records;
    await untilStored(pool, stored);
  }

  beforeAll(async () => {
    installation = await Installation.start({
      FLUSH_INTERVAL: '100ms',
      SHARDS: '4',
      RECONCILE_INTERVAL: 'off',
    });
    pool = new Pool({ connectionString: await installation.databaseUrl(), max: 4 });
    pool.on('error', () => undefined);
    audits = new AuditClient(installation.queryAddress);
    ingest = ingestClient(installation.ingestAddress);
    broker = await openBroker(await installation.natsUrl());
    const catalog = catalogClient(installation.ingestAddress);
    const ads = ['shoes', 'hats', 'list', 'spread', 'judged'].map((ad_id) => ({
      ad_id,
      destination_url: 'https://shop.example/',
    }));
    await catalog.upsertAds({ ads });
    catalog.close();
  });

  afterAll(async () => {
    audits?.close();
    ingest?.close();
    await broker?.connection.close();
    await pool?.end();
    await installation?.remove();
  });

  const receipts: Record<string, Receipt> = {};
  const robot = 'Googlebot/2.1 (+http://www.google.com/bot.html)';

  describe('of clicks of every kind', () => {
    beforeAll(async () => {
      const impression_id = id(901);
      const sent = {
        valid: click(1, { impression_id }),
        plain: click(2),
        repeat: click(3, { impression_id }),
        bot: click(4, { user_agent: robot }),
        test: click(5, { test: true }),
        // So old that it is booked at the minute of its receipt.
        defective: click(6, { event_time_ms: 1 }),
        duplicate: click(1, { impression_id, event_time_ms: minute + 1 }),
        other: click(7, { ad_id: 'hats' }),
      };
      for (const [name, one] of Object.entries(sent)) {
        const [receipt] = await send(one);
        if (receipt !== undefined) receipts[name] = receipt;
      }
      await untilMoreStored(Object.keys(sent).length);
    });

    test('a proof says what a window is counted from, and agrees with a query and with what was sent', async () => {
      const proof = await audits.call('GetWindowProof', { ad_id: 'shoes', minute_ms: minute });
      expect(proof.counts).toEqual({
        valid: 2,
        repeat: 1,
        general_invalid: 1,
        sophisticated_invalid: 0,
        defective: 0,
        test: 1,
        fingerprint: fingerprint([
          [id(1), 'VALID'],
          [id(2), 'VALID'],
          [id(3), 'REPEAT'],
          [id(4), 'GIVT'],
          [id(5), 'TEST'],
        ]),
      });
      expect(proof).toMatchObject({ status: 'PROVISIONAL', revision: 0, rule_set_version: 1 });
      const { shard = -1, stream_incarnation } = receipts['valid'] ?? {};
      expect(proof.shards).toMatchObject([{ shard, stream_incarnation, first_sequence: 1 }]);
      const { lastSequence } = await readStreamState(broker.manager, shard);
      expect(proof.shards[0]?.last_sequence).toBe(lastSequence);
      const counts = new Counts(installation);
      const [row] = await counts.rows(['shoes'], minute, minute + MINUTE_MS, 'MINUTE');
      counts.close();
      expect(row?.metrics).toMatchObject({
        clicks: 2,
        repeat_clicks: 1,
        general_invalid_clicks: 1,
        test_clicks: 1,
      });
    });

    test('a window without a click has a proof of nothing', async () => {
      const proof = await audits.call('GetWindowProof', { ad_id: 'shoes', minute_ms: minute - MINUTE_MS });
      expect(proof.counts).toMatchObject({ valid: 0, fingerprint: '0'.repeat(32) });
      const verified = await audits.call('VerifyWindow', { ad_id: 'shoes', minute_ms: minute - MINUTE_MS });
      expect(verified).toMatchObject({ verdict: 'EQUAL', records: 0 });
    });

    test.each([
      ['valid', 'VALID', '', undefined],
      ['repeat', 'REPEAT', 'same_impression', 'valid'],
      ['duplicate', 'DUPLICATE', 'same_click', 'valid'],
      ['bot', 'GIVT', 'user_agent_bot', undefined],
      ['test', 'TEST', 'test', undefined],
      ['defective', 'DEFECTIVE', 'event_time_old', undefined],
    ])('a receipt leads to what became of its click: %s', async (name, disposition, reason, repeats) => {
      const receipt = receipts[name] ?? null;
      const { records } = await audits.call('GetClick', { receipt });
      expect(records).toMatchObject([
        { receipt, disposition, counted_as: disposition, reason, counted: true },
      ]);
      expect(records[0]?.repeats ?? undefined).toEqual(repeats && receipts[repeats]);
      // The window of a click that cannot be believed is that of its receipt.
      if (name !== 'defective') expect(records[0]?.minute_ms).toBe(minute);
      else expect(records[0]?.minute_ms).toBeGreaterThanOrEqual(startMs - MINUTE_MS);
    });

    test('a click_id leads to all its records, on whatever shard, and to those of one ad where that is said', async () => {
      const byId = await audits.call('GetClick', { click_id: id(1) });
      expect(byId.records.map(({ disposition }) => disposition)).toEqual(['VALID', 'DUPLICATE']);
      expect(byId.records.map(({ receipt }) => receipt)).toEqual([receipts['valid'], receipts['duplicate']]);
      const ofAd = await audits.call('GetClick', { click_id: id(7), ad_id: 'hats' });
      expect(ofAd.records).toMatchObject([
        { receipt: receipts['other'], ad_id: 'hats', disposition: 'VALID' },
      ]);
      expect(ofAd.searched.map(({ shard }) => shard)).toEqual([receipts['other']?.shard]);
    });

    test('a click that is nowhere is not found, and the answer says what was searched', async () => {
      const all = audits.call('GetClick', { click_id: id(999) });
      await expect(all).rejects.toThrow(code(status.NOT_FOUND));
      await expect(all).rejects.toThrow(
        /no record of this click_id arrived from .* on; searched messages .*: \d: 1 to \d/,
      );
      // An impression_id is no click_id.
      await expect(audits.call('GetClick', { click_id: id(901) })).rejects.toThrow(code(status.NOT_FOUND));
      const { shard = 0, stream_incarnation = '' } = receipts['valid'] ?? {};
      const nowhere = { shard, stream_incarnation, stream_sequence: 1e6, index: 0 };
      await expect(audits.call('GetClick', { receipt: nowhere })).rejects.toThrow(code(status.NOT_FOUND));
      const noRecord = { ...receipts['valid'], index: 77 };
      await expect(audits.call('GetClick', { receipt: noRecord })).rejects.toThrow(code(status.NOT_FOUND));
      const anotherStream = { ...receipts['valid'], stream_incarnation: '2020-01-01T00:00:00Z' };
      await expect(audits.call('GetClick', { receipt: anotherStream })).rejects.toThrow(
        code(status.FAILED_PRECONDITION),
      );
    });

    test('dead letters are found as what they are', async () => {
      const home = receipts['valid']?.shard;
      const [shard = 0] = (await listShards(broker.manager)).filter((one) => one !== home);
      const misrouted = encodeClickRecord(
        recordOf({ adId: 'shoes', clickId: uuid7At(startMs, 801), receivedMs: startMs }),
      );
      const torn = encodeClickRecord(recordOf({ adId: 'shoes', clickId: uuid7At(startMs, 802) })).subarray(
        0,
        40,
      );
      const ack = await broker.client.publish(clickSubject(shard), encodeClickBatch(1, [torn, misrouted]));
      await untilMoreStored(2);
      const { records } = await audits.call('GetClick', { click_id: id(801) });
      expect(records).toMatchObject([
        { disposition: 'DEAD_LETTER', reason: 'misrouted', ad_id: 'shoes', click_id: id(801), minute_ms: 0 },
      ]);
      expect(records[0]?.receipt).toMatchObject({ shard, stream_sequence: ack.seq, index: 1 });
      const undecodable = await audits.call('GetClick', { click_id: id(802) });
      expect(undecodable.records).toMatchObject([
        { disposition: 'DEAD_LETTER', reason: 'undecodable', ad_id: '' },
      ]);
      expect(undecodable.records[0]?.receipt?.index).toBe(0);
    });

    test.each([
      ['GetWindowProof', { ad_id: '', minute_ms: minute }, /^.*ad_id "" is wrong: it must be 1 to 128 bytes/],
      ['VerifyWindow', { ad_id: 'shoes', minute_ms: minute + 1 }, /minute_ms "\d+" is wrong: .*whole minute/],
      ['GetClick', {}, /click_id and receipt: right is one of them/],
      ['GetClick', { click_id: 'x' }, /click_id "x" is wrong: it must be a UUIDv7/],
      [
        'ListClicks',
        { ad_id: 'a', from_ms: minute, to_ms: minute },
        /to_ms "\d+" is wrong: it must be after from_ms/,
      ],
      [
        'ListClicks',
        { ad_id: 'a', from_ms: 0, to_ms: minute, page_size: 5_001 },
        /page_size "5001" .*at most 5000/,
      ],
      [
        'ListClicks',
        { ad_id: 'a', from_ms: 0, to_ms: minute, page_token: 'e30' },
        /page_token "e30" is wrong/,
      ],
      ['ListRestatements', { page_token: 'x' }, /page_token "x" is wrong/],
      ['ListRestatements', { page_size: 1_001 }, /page_size "1001" is wrong: it must be at most 1000/],
      ['StartReconcile', { to_ms: minute }, /from_ms "0" is wrong: it must be given where to_ms is/],
      ['CancelReconcile', {}, /id "0" is wrong/],
    ] as const)('refuses what it cannot read: %s %j', async (method, request, words) => {
      const asked = audits.call(method, request);
      await expect(asked).rejects.toThrow(code(status.INVALID_ARGUMENT));
      await expect(asked).rejects.toThrow(words);
    });
  });

  describe('of a window that was altered', () => {
    const alter = (set: string) =>
      pool.query(`update ad_minute set ${set} where ad_id = 'shoes' and minute = to_timestamp($1::bigint)`, [
        minute / 1_000,
      ]);
    /** What these clicks add to the counts, in SQL. */
    const share = (sign: '+' | '-', clickId: string, disposition: keyof typeof CODES, column: string) => {
      const hex = fingerprint([[clickId, disposition]]);
      const [high, low] = [BigInt(`0x${hex.slice(0, 16)}`), BigInt(`0x${hex.slice(16)}`)];
      return `${column} = ${column} ${sign} 1, fingerprint_high = fingerprint_high ${sign} ${high}, fingerprint_low = fingerprint_low ${sign} ${low}`;
    };
    const verify = () => audits.call('VerifyWindow', { ad_id: 'shoes', minute_ms: minute });

    test('finds it equal before', async () => {
      const verified = await verify();
      expect(verified).toMatchObject({ verdict: 'EQUAL', late: 0, records: 6, differing: [] });
      expect(verified.recounted).toEqual(verified.stored);
    });

    test.each([
      ['a count', 'valid = valid + 1', 'valid = valid - 1'],
      ['a fingerprint', 'fingerprint_low = fingerprint_low + 1', 'fingerprint_low = fingerprint_low - 1'],
      [
        'one click for another',
        `fingerprint_high = fingerprint_high + 7, fingerprint_low = fingerprint_low - 9`,
        `fingerprint_high = fingerprint_high - 7, fingerprint_low = fingerprint_low + 9`,
      ],
    ])('finds %s, and says that no single click explains it', async (_what, change, back) => {
      await alter(change);
      const verified = await verify();
      await alter(back);
      expect(verified).toMatchObject({ verdict: 'DIFFERENT', explanation: 'NOT_TELLABLE', differing: [] });
      expect(verified.stored).not.toEqual(verified.recounted);
      expect(verified.why).toContain('only sums are stored');
      expect((await verify()).verdict).toBe('EQUAL');
    });

    test.each([
      ['is missing', 'ONE_MISSING', '-', '+', 'DISPOSITION_UNSPECIFIED'],
      ['is there twice', 'ONE_TWICE', '+', '-', 'VALID'],
    ] as const)('names the one click that %s', async (_what, explanation, sign, back, stored_as) => {
      await alter(share(sign, id(2), 'VALID', 'valid'));
      const verified = await verify();
      await alter(share(back, id(2), 'VALID', 'valid'));
      expect(verified).toMatchObject({ verdict: 'DIFFERENT', explanation });
      expect(verified.differing).toMatchObject([
        { click: { receipt: receipts['plain'], click_id: id(2), disposition: 'VALID' }, stored_as },
      ]);
    });

    test('names the one click that is stored under another disposition', async () => {
      await alter(share('-', id(3), 'REPEAT', 'repeat'));
      await alter(share('+', id(3), 'VALID', 'valid'));
      const verified = await verify();
      await alter(share('-', id(3), 'VALID', 'valid'));
      await alter(share('+', id(3), 'REPEAT', 'repeat'));
      expect(verified).toMatchObject({ verdict: 'DIFFERENT', explanation: 'ONE_OTHERWISE' });
      expect(verified.differing).toMatchObject([
        { click: { receipt: receipts['repeat'], disposition: 'REPEAT' }, stored_as: 'VALID' },
      ]);
    });
  });

  describe('of many clicks', () => {
    const key = (receipt: Receipt | null) =>
      `${receipt?.shard} ${receipt?.stream_sequence} ${receipt?.index}`;
    let sent: Map<string, Click>;

    beforeAll(async () => {
      sent = new Map();
      for (let first = 0; first < LISTED; first += 2_000) {
        const clicks = Array.from({ length: 2_000 }, (_, index) =>
          click(10_000 + first + index, {
            ad_id: 'list',
            event_time_ms: minute + ((first + index) % 3) * MINUTE_MS,
          }),
        );
        const taken = await send(...clicks);
        for (const [index, receipt] of taken.entries()) sent.set(key(receipt), clicks[index] ?? {});
      }
      await untilMoreStored(LISTED);
    });

    test('pages show each click once, in order, also while others come', async () => {
      const range = { ad_id: 'list', from_ms: minute, to_ms: minute + 3 * MINUTE_MS };
      const seen: AuditedClick[] = [];
      let page_token = '';
      do {
        const page = await audits.call('ListClicks', { ...range, page_size: 777, page_token });
        expect(page.clicks.length).toBeLessThanOrEqual(777);
        seen.push(...page.clicks);
        page_token = page.next_page_token;
        if (seen.length < 3_000) {
          await send(click(50_000 + seen.length, { ad_id: 'list', event_time_ms: minute }));
          await untilMoreStored(1);
        }
      } while (page_token !== '');
      expect(seen).toHaveLength(LISTED);
      expect(new Set(seen.map(({ receipt }) => key(receipt)))).toEqual(new Set(sent.keys()));
      for (const { receipt, click_id, disposition, event_time_ms } of seen) {
        const one = sent.get(key(receipt));
        expect({ click_id, event_time_ms, disposition }).toEqual({
          click_id: one?.click_id,
          event_time_ms: one?.event_time_ms,
          disposition: 'VALID',
        });
      }
      const places = seen.map(({ receipt }) => (receipt?.stream_sequence ?? 0) * 1e5 + (receipt?.index ?? 0));
      expect(places).toEqual([...places].sort((left, right) => left - right));
    });

    test('shows the minutes that are asked for, and nothing else', async () => {
      const { clicks, next_page_token } = await audits.call('ListClicks', {
        ad_id: 'list',
        from_ms: minute + MINUTE_MS,
        to_ms: minute + 2 * MINUTE_MS,
        page_size: 5_000,
      });
      expect(next_page_token).toBe('');
      expect(clicks).toHaveLength(
        [...sent.values()].filter((one) => one.event_time_ms === minute + MINUTE_MS).length,
      );
    });

    test('a token of another listing is refused', async () => {
      const range = { ad_id: 'list', from_ms: minute, to_ms: minute + MINUTE_MS };
      const { next_page_token } = await audits.call('ListClicks', { ...range, page_size: 1 });
      const other = audits.call('ListClicks', { ...range, ad_id: 'shoes', page_token: next_page_token });
      await expect(other).rejects.toThrow(
        /page_token .* is wrong: it must be asked with its own ad and range: list/,
      );
    });

    test('more replays than there may be are refused, and the others go on', async () => {
      const asked = Array.from({ length: 40 }, () =>
        audits.call('VerifyWindow', { ad_id: 'list', minute_ms: minute }).then(
          ({ verdict }) => verdict,
          ({ details }) => details,
        ),
      );
      const refused = '8 replays are under way, as many as there may be: ask again when one has ended';
      const answers = await Promise.all(asked);
      expect(new Set(answers)).toEqual(new Set(['EQUAL', refused]));
      expect(answers.filter((one) => one === 'EQUAL').length).toBeGreaterThanOrEqual(8);
    });

    test('a replay ends with its caller', async () => {
      await expect(audits.call('VerifyWindow', { ad_id: 'list', minute_ms: minute }, 1)).rejects.toThrow(
        code(status.DEADLINE_EXCEEDED),
      );
      const verified = await audits.call('VerifyWindow', { ad_id: 'list', minute_ms: minute + MINUTE_MS });
      expect(verified.verdict).toBe('EQUAL');
    });
  });

  test('of an ad that is spread over shards cover all of them', async () => {
    const routing = new RoutingLog(broker.client, broker.manager);
    do await routing.read();
    while (
      !(await routing.append({
        kind: 'fan_out',
        adId: 'spread',
        fanOut: 3,
        fromMs: routing.table.closedUntilMs,
      }))
    );
    const fromMs = routing.table.closedUntilMs + 1_000;
    const spread = Array.from({ length: 60 }, (_, number) => ({
      ad_id: 'spread',
      click_id: formatUuid(uuid7At(fromMs, number)),
      event_time_ms: minute,
    }));
    const taken = await send(...spread);
    await untilMoreStored(spread.length);
    const shards = [...new Set(taken.map(({ shard }) => shard))].sort();
    expect(shards).toHaveLength(3);
    const window = { ad_id: 'spread', minute_ms: minute };
    const proof = await audits.call('GetWindowProof', window);
    expect(proof.shards.map(({ shard }) => shard)).toEqual(shards);
    expect(proof.counts).toMatchObject({
      valid: 60,
      fingerprint: fingerprint(spread.map(({ click_id }) => [click_id, 'VALID'])),
    });
    expect(await audits.call('VerifyWindow', window)).toMatchObject({ verdict: 'EQUAL', records: 60 });
    const seen: (string | undefined)[] = [];
    let page_token = '';
    do {
      const range = { ad_id: 'spread', from_ms: minute, to_ms: minute + MINUTE_MS };
      const page = await audits.call('ListClicks', { ...range, page_size: 7, page_token });
      seen.push(...page.clicks.map(({ click_id }) => click_id));
      page_token = page.next_page_token;
    } while (page_token !== '');
    expect(seen.sort()).toEqual(spread.map(({ click_id }) => click_id).sort());
  });

  describe('of reconciles', () => {
    /** Nothing that needs the counts goes on until it is let go. */
    async function held<T>(use: () => Promise<T>): Promise<T> {
      const blocker = await pool.connect();
      await blocker.query('begin; lock table ad_minute in access exclusive mode');
      try {
        return await use();
      } finally {
        await blocker.query('rollback');
        blocker.release();
      }
    }
    const ended = async (id: number) => {
      await until(`reconcile ${id} has ended`, async () => {
        const { job } = await audits.call('GetReconcile', { id });
        return job?.state !== 'RUNNING';
      });
      return (await audits.call('GetReconcile', { id })).job;
    };
    const untilRead = (id: number) =>
      until(`reconcile ${id} compares`, async () => {
        const { job } = await audits.call('GetReconcile', { id });
        return job !== null && job.records > 0 && job.records === job.records_expected;
      });

    test('one is begun, says how far it is, and what it found; its restatements are listed', async () => {
      await pool.query(
        `update ad_minute set valid = valid + 1 where ad_id in ('shoes', 'hats') and minute = to_timestamp($1::bigint)`,
        [minute / 1_000],
      );
      const request = { apply: true, ad_ids: ['shoes', 'hats'], note: 'why' };
      const { job } = await audits.call('StartReconcile', request);
      expect(job).toMatchObject({ started_by: 'API', request });
      const done = await ended(job?.id ?? 0);
      expect(done).toMatchObject({ state: 'DONE', problem: '', result: { differing: 2, restated: 2 } });
      expect(done?.records).toBe(stored);
      expect(done?.ended_ms).toBeGreaterThanOrEqual(done?.started_ms ?? Infinity);
      expect(done?.differences.map(({ ad_id, restated }) => [ad_id, restated])).toEqual([
        ['hats', true],
        ['shoes', true],
      ]);
      const run = done?.result?.run ?? 0;
      const all = await audits.call('ListRestatements', {});
      expect(all.restatements.map(({ ad_id }) => ad_id)).toEqual(['shoes', 'hats']);
      expect(all.restatements[0]).toMatchObject({
        minute_ms: minute,
        cause: 'MANUAL',
        note: 'why',
        run,
        rule_set_version: 1,
      });
      expect(all.restatements[0]?.streams).toContainEqual(
        expect.objectContaining({ shard: receipts['valid']?.shard, first_sequence: 1 }),
      );
      const { before, after } = all.restatements[0] ?? {};
      expect([before?.valid, after?.valid, before?.fingerprint === after?.fingerprint]).toEqual([3, 2, true]);
      const first = await audits.call('ListRestatements', { page_size: 1 });
      const second = await audits.call('ListRestatements', {
        page_size: 1,
        page_token: first.next_page_token,
      });
      expect([...first.restatements, ...second.restatements]).toEqual(all.restatements);
      expect(second.next_page_token).toBe('');
      const count = async (selection: object) =>
        (await audits.call('ListRestatements', selection)).restatements.length;
      expect(await count({ ad_id: 'hats' })).toBe(1);
      expect(await count({ cause: 'LATE' })).toBe(0);
      expect(await count({ run: run + 1 })).toBe(0);
      expect(await count({ run, cause: 'MANUAL' })).toBe(2);
      expect(await count({ run, cause: 'RECONCILE' })).toBe(0);
      expect(await count({ from_ms: minute + MINUTE_MS })).toBe(0);
      expect(await count({ to_ms: minute + MINUTE_MS, from_ms: minute })).toBe(2);
      expect(await count({ applied_from_ms: startMs })).toBe(2);
      expect(await count({ applied_to_ms: startMs })).toBe(0);
      expect(await count({ booked_in_ms: minute })).toBe(0);
    });

    test('while one runs, another is refused with its number; it is cancelled, also when it waits for the database', async () => {
      await held(async () => {
        const { job } = await audits.call('StartReconcile', { from_ms: minute, note: 'a doubt' });
        expect(job?.request).toMatchObject({ from_ms: minute, to_ms: 0, note: 'a doubt', ad_ids: [] });
        const id = job?.id ?? 0;
        await untilRead(id);
        const other = audits.call('StartReconcile', {});
        await expect(other).rejects.toThrow(code(status.FAILED_PRECONDITION));
        await expect(other).rejects.toThrow(`reconcile ${id} is under way`);
        const cancelled = await audits.call('CancelReconcile', { id });
        expect(cancelled.job).toMatchObject({ id, state: 'CANCELLED', result: null });
        await expect(audits.call('CancelReconcile', { id })).rejects.toThrow(
          `reconcile ${id} does not run here: it is CANCELLED`,
        );
      });
      const { job } = await audits.call('StartReconcile', {});
      expect(await ended(job?.id ?? 0)).toMatchObject({ state: 'DONE', result: { differing: 0 } });
      await expect(audits.call('GetReconcile', { id: 1_000 })).rejects.toThrow(code(status.NOT_FOUND));
    });

    test('one whose process is killed is interrupted, and says so when the next process runs', async () => {
      await held(async () => {
        const { job } = await audits.call('StartReconcile', { apply: true });
        const id = job?.id ?? 0;
        await untilRead(id);
        await installation.kill('reconciler');
        await until('the reconciler answers again', () =>
          audits.call('GetReconcile', { id }).then(
            () => true,
            () => false,
          ),
        );
        const { job: dead } = await audits.call('GetReconcile', { id });
        expect(dead).toMatchObject({
          state: 'INTERRUPTED',
          problem: expect.stringContaining('start it again'),
        });
      });
      const { job } = await audits.call('StartReconcile', { apply: true });
      expect(await ended(job?.id ?? 0)).toMatchObject({ state: 'DONE', result: { differing: 0 } });
    });

    test('while the reconciler is away, callers are told so; health says it, and queries go on', async () => {
      const resume = await installation.pause('reconciler');
      const asked = audits.call('GetReconcile', {}, 500);
      await expect(asked).rejects.toThrow(code(status.DEADLINE_EXCEEDED));
      const counts = new Counts(installation);
      expect(await counts.rows(['shoes'], minute, minute + MINUTE_MS, 'MINUTE')).toHaveLength(1);
      counts.close();
      resume();
      await audits.call('GetReconcile', {});
    });
  });

  test('a window that was judged again is held against what it was judged by last', async () => {
    const user_agent =
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36 GTmetrix';
    // Made an hour ago: clicks of the minute that has begun are not judged again.
    const made = (number: number) => formatUuid(uuid7At(startMs - 60 * MINUTE_MS, number));
    const [receipt] = await send(
      click(700, { ad_id: 'judged', click_id: made(700), user_agent }),
      click(701, { ad_id: 'judged', click_id: made(701) }),
    );
    await untilMoreStored(2);
    const window = { ad_id: 'judged', minute_ms: minute };
    const fate = async () =>
      (await audits.call('GetClick', { receipt: receipt ?? null })).records[0]?.disposition;
    expect(await audits.call('VerifyWindow', window)).toMatchObject({
      verdict: 'EQUAL',
      stored: { valid: 2 },
    });
    expect(await fate()).toBe('VALID');
    const words = ['reconcile', '--ads', 'judged', '--rules', '2', '--apply'];
    const { exitCode, output } = await installation.run(...words);
    expect(exitCode, output).toBe(0);
    expect(await audits.call('VerifyWindow', window)).toMatchObject({
      verdict: 'EQUAL',
      stored: { valid: 1, general_invalid: 1 },
    });
    expect(await fate()).toBe('GIVT');
    const proof = await audits.call('GetWindowProof', window);
    expect(proof).toMatchObject({ rule_set_version: 2, counts: { valid: 1, general_invalid: 1 } });
    const range = { ad_id: 'judged', from_ms: minute, to_ms: minute + MINUTE_MS };
    const { clicks } = await audits.call('ListClicks', range);
    expect(clicks.map(({ disposition }) => disposition)).toEqual(['GIVT', 'VALID']);
    const { restatements } = await audits.call('ListRestatements', { cause: 'RECLASSIFY' });
    expect(restatements).toMatchObject([{ ad_id: 'judged', rule_set_version: 2 }]);
  });

  test('what a stream holds no more is not guessed', async () => {
    const { shard = 0 } = receipts['valid'] ?? {};
    await broker.manager.streams.update(`CLICKS_${shard}`, { max_msgs: 1 });
    for (const ask of [
      () => audits.call('GetWindowProof', { ad_id: 'shoes', minute_ms: minute }),
      () => audits.call('VerifyWindow', { ad_id: 'shoes', minute_ms: minute }),
      () => audits.call('ListClicks', { ad_id: 'shoes', from_ms: minute, to_ms: minute + MINUTE_MS }),
      () => audits.call('GetClick', { click_id: id(1) }),
      () => audits.call('GetClick', { receipt: receipts['valid'] ?? null }),
    ]) {
      const asked = ask();
      await expect(asked).rejects.toThrow(code(status.FAILED_PRECONDITION));
      await expect(asked).rejects.toThrow(`the stream of shard ${shard} begins at sequence`);
    }
  });
});
